"""What staff do with one invoice's money and with drafts: payments, credit notes, holding back, editing by hand."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from billing.admin.forms.payments import PaymentForm
from billing.admin.shared import ReasonForm, answer
from billing.lifecycle import review, void
from billing.models import Invoice, InvoiceKind, InvoiceState
from billing.settlement.credit_notes import calculate_creditable_amount
from billing.settlement.payments import record_payment
from config.office.base import staff
from config.refusals import Refused

ACTIONS = ("pay_one", "credit_one", "edit_one", "hold_one", "release_one", "delete_draft_one")


def was_settled(invoice: Invoice) -> bool:
    """Tell whether money was received for the invoice, or a credit note took something off it."""
    return bool(invoice.amount_paid or invoice.amount_credited)


def offered(invoice: Invoice) -> set[str]:
    """Name the actions that an invoice as it stands allows."""
    if invoice.is_draft:
        by_hand = {"edit_one", "delete_draft_one"} if invoice.kind == InvoiceKind.ONE_OFF else set()
        return by_hand | ({"release_one"} if invoice.held_at else {"hold_one"})
    allowed = set()
    if invoice.state == InvoiceState.FINALIZED and invoice.amount_remaining > 0:
        allowed.add("pay_one")
    if invoice.state in (InvoiceState.FINALIZED, InvoiceState.PAID) and calculate_creditable_amount(invoice):
        allowed.add("credit_one")
    return allowed


class SettlingActions:
    """Actions of an invoice's page, for its admin."""

    def has_pay_permission(self, request: HttpRequest, object_id: int | str | None = None) -> bool:
        return request.user.has_perm("billing.add_payment")

    def has_credit_permission(self, request: HttpRequest, object_id: int | str | None = None) -> bool:
        return request.user.has_perm("billing.add_creditnote")

    def has_write_permission(self, request: HttpRequest, object_id: int | str | None = None) -> bool:
        return request.user.has_perm("billing.add_invoice")

    @action(
        description="Record payment",
        icon="payments",
        variant=ActionVariant.PRIMARY,
        permissions=["pay"],
        dialog={"title": "Record a payment", "form_class": PaymentForm, "form_submit_text": "Record payment"},
    )
    def pay_one(self, request: HttpRequest, form: PaymentForm, object_id: int) -> HttpResponse:
        """Record what was received; a second click of the same dialog records nothing more."""
        invoice = form.subject
        try:
            payment = record_payment(invoice, form.receipt(), now=timezone.now(), by=staff(request))
        except Refused as refused:
            return answer(request, invoice.get_absolute_url(), str(refused), level=messages.ERROR)
        done = payment.invoice
        said = f"{done} is paid." if done.state == InvoiceState.PAID else f"The payment of {done} is recorded."
        return answer(request, done.get_absolute_url(), said)

    @action(description="Credit note", icon="undo", permissions=["credit"])
    def credit_one(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Lead to the page that writes a credit note, with the invoice's lines filled in."""
        return HttpResponseRedirect(reverse("admin:billing_credit_invoice", args=[object_id]))

    @action(description="Edit", icon="edit", permissions=["change"])
    def edit_one(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Lead to the page that edits a one-off draft."""
        return HttpResponseRedirect(reverse("admin:billing_edit_one_off", args=[object_id]))

    @action(
        description="Hold back",
        icon="pause_circle",
        permissions=["change"],
        dialog={
            "title": "Hold this draft back",
            "description": "Nobody finalizes it, nor is it finalized by itself, until it is released.",
            "form_class": ReasonForm,
            "form_submit_text": "Hold back",
        },
    )
    def hold_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        return self._change(request, object_id, review.hold, "{} is held back.", reason=form.cleaned_data["reason"])

    @action(
        description="Release",
        icon="play_circle",
        permissions=["change"],
        dialog={
            "title": "Release this draft",
            "description": "It is finalized when its grace period is over, at once if that has passed.",
            "form_submit_text": "Release",
        },
    )
    def release_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        return self._change(request, object_id, review.release, "{} is released.")

    @action(
        description="Delete draft",
        icon="delete",
        variant=ActionVariant.DANGER,
        permissions=["change"],
        dialog={
            "title": "Delete this draft",
            "description": "It never had a number. It is gone for good.",
            "form_submit_text": "Delete draft",
        },
    )
    def delete_draft_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        invoice = get_object_or_404(Invoice, pk=object_id)
        said = f"{invoice} is deleted."
        try:
            void.delete_draft(invoice)
        except Refused as refused:
            return answer(request, invoice.get_absolute_url(), str(refused), level=messages.ERROR)
        return answer(request, reverse("admin:billing_invoice_changelist"), said)

    def _change(
        self, request: HttpRequest, object_id: int, change: Any, said: str, *, signed: bool = True, **given: Any
    ) -> HttpResponse:
        """Make one change to an invoice and lead to its page; a refusal is said there too."""
        invoice = get_object_or_404(Invoice, pk=object_id)
        given |= {"by": staff(request)} if signed else {}
        try:
            changed = change(invoice, now=timezone.now(), **given)
        except Refused as refused:
            return answer(request, invoice.get_absolute_url(), str(refused), level=messages.ERROR)
        return answer(request, changed.get_absolute_url(), said.format(changed))
