"""Actions on one invoice's page: review, finalize, take payments, credit, void and reissue."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from billing.admin import documents
from billing.admin.emails.email_admin import may_send, send_from_dialog
from billing.admin.emails.forms import SendInvoiceForm
from billing.admin.forms.invoices import FinalizeForm, VoidForm
from billing.admin.forms.payments import DifferenceForm, PaymentForm
from billing.admin.reminders.forms import PauseForm
from billing.lifecycle import finalize, recompute, review, void
from billing.models import EInvoice, Invoice, InvoiceKind, InvoiceState, JointInvoice, SurplusUse
from billing.money import format_amount
from billing.reminders.pausing import pause_reminders
from billing.settlement.credit_notes import calculate_creditable_amount
from billing.settlement.differences import settle_difference
from billing.settlement.joint_invoices import record_joint_payment
from billing.settlement.payments import record_payment
from config.office.dialogs import ReasonForm, action, carry_out, open_page, staff


def allowed_actions(invoice: Invoice) -> set[str]:
    """Return the names of the actions that the invoice's state allows."""
    if invoice.is_draft:
        return {"pdf_one"} | _draft_actions(invoice)
    actions = {"pdf_one", "xml_one"} if EInvoice.objects.present().filter(invoice=invoice).exists() else {"pdf_one"}
    if invoice.state == InvoiceState.VOID:
        is_replaced = Invoice.objects.filter(replaces=invoice).exists()
        actions |= set() if is_replaced else {"reissue_one"}
    else:
        actions |= _finalized_actions(invoice)
    # Only the invoices of subscriptions can be calculated again.
    return actions if invoice.subscription_id is not None else actions - {"reissue_one"}


def _draft_actions(invoice: Invoice) -> set[str]:
    actions = {"release_one"} if invoice.held_at else {"finalize_one", "hold_one"}
    actions |= {"recompute_one"} if invoice.subscription_id is not None else {"delete_draft_one"}
    return actions | {"edit_one"}


def _finalized_actions(invoice: Invoice) -> set[str]:
    actions = {"email_one"}
    if invoice.state in (InvoiceState.FINALIZED, InvoiceState.PAID):  # a paid one, too: customers pay twice
        actions |= {"pay_one", "settle_one"} if invoice.amount_remaining > 0 else {"pay_one"}
    if calculate_creditable_amount(invoice):
        actions.add("credit_one")
    # An invoice paid from prepaid credit alone can be voided: the credit is returned.
    is_paid_or_credited = bool(invoice.amount_paid or invoice.amount_credited)
    if invoice.state == InvoiceState.FINALIZED or not is_paid_or_credited:
        actions |= {"void_one", "reissue_one"}
    return actions


class InvoiceActions:
    """The actions of an invoice's page, for its admin class."""

    def has_pay_permission(self, request: HttpRequest, object_id: int | str | None = None) -> bool:
        return request.user.has_perm("billing.add_payment")

    def has_credit_permission(self, request: HttpRequest, object_id: int | str | None = None) -> bool:
        return request.user.has_perm("billing.add_creditnote")

    def has_write_permission(self, request: HttpRequest, object_id: int | str | None = None) -> bool:
        return request.user.has_perm("billing.add_invoice")

    def has_pause_reminders_permission(self, request: HttpRequest, object_id: int | str | None = None) -> bool:
        return request.user.has_perm("billing.add_reminderpause")

    def has_email_permission(self, request: HttpRequest, object_id: int | str | None = None) -> bool:
        return may_send(request)

    @action(
        description="Email",
        icon="forward_to_inbox",
        permissions=["email"],
        dialog={"title": "Email this invoice", "form_class": SendInvoiceForm, "form_submit_text": "Send"},
    )
    def email_one(self, request: HttpRequest, form: SendInvoiceForm, object_id: int) -> HttpResponse:
        """Send the invoice to its customer."""
        return send_from_dialog(request, form)

    @action(
        description="Pause reminders",
        icon="notifications_paused",
        permissions=["pause_reminders"],
        dialog={"title": "Pause reminders", "form_class": PauseForm, "form_submit_text": "Pause"},
    )
    def pause_reminders_one(self, request: HttpRequest, form: PauseForm, object_id: int) -> HttpResponse:
        """Pause reminders of the invoice, because of a dispute or a promise to pay."""
        invoice = get_object_or_404(Invoice.objects.select_related("customer"), pk=object_id)
        return carry_out(
            request,
            lambda: pause_reminders(
                invoice.customer, invoice=invoice, **form.read(), now=timezone.now(), by=staff(request)
            ),
            done="Reminders of this invoice are paused.",
            then=invoice.get_absolute_url(),
        )

    @action(description="PDF", icon="picture_as_pdf", permissions=["view"])
    def pdf_one(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Download the invoice as a PDF."""
        return documents.one_pdf(request, object_id)

    @action(description="XML", icon="code", permissions=["view"])
    def xml_one(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Download the electronic invoice."""
        return documents.invoice_xml(request, object_id)

    @action(
        description="Finalize",
        icon="verified",
        variant=ActionVariant.PRIMARY,
        permissions=["change"],
        dialog={"title": "Finalize this invoice?", "form_class": FinalizeForm, "form_submit_text": "Finalize"},
    )
    def finalize_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        return _change(request, object_id, finalize.finalize, "{} was finalized.", by=staff(request))

    @action(
        description="Recalculate",
        icon="refresh",
        permissions=["change"],
        dialog={
            "title": "Recalculate this draft?",
            "description": "Its lines are calculated again from the current usage and plan.",
            "form_submit_text": "Recalculate",
        },
    )
    def recompute_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        return _change(request, object_id, recompute.recompute, "{} was recalculated.")

    @action(
        description="Record payment",
        icon="payments",
        variant=ActionVariant.PRIMARY,
        permissions=["pay"],
        dialog={"title": "Record a payment", "form_class": PaymentForm, "form_submit_text": "Record payment"},
    )
    def pay_one(self, request: HttpRequest, form: PaymentForm, object_id: int) -> HttpResponse:
        """Record a payment. Submitting the same dialog twice records one payment."""
        if isinstance(form.subject, JointInvoice):
            return self._pay_joint(request, form, object_id)
        invoice = form.subject
        payment = record_payment(invoice, form.receipt(), now=timezone.now(), by=staff(request))
        invoice.refresh_from_db()
        is_paid = invoice.state == InvoiceState.PAID
        message = f"{invoice} is paid." if is_paid else f"Payment recorded for {invoice}."
        if payment.surplus:
            surplus = format_amount(payment.surplus, payment.currency)
            is_credit = form.receipt().surplus_to == SurplusUse.CREDIT
            message += f" {surplus} {'is prepaid credit' if is_credit else 'stays unapplied'}."
        return open_page(request, invoice.get_absolute_url(), message)

    @action(
        description="Settle a difference",
        icon="balance",
        permissions=["pay"],
        dialog={"title": "Settle a difference", "form_class": DifferenceForm, "form_submit_text": "Settle"},
    )
    def settle_one(self, request: HttpRequest, form: DifferenceForm, object_id: int) -> HttpResponse:
        """Write off a small difference, or record a bank charge."""
        invoice, receipt, reason = form.subject, form.receipt(), form.cleaned_data["reason"]
        return carry_out(
            request,
            lambda: settle_difference(invoice, receipt, reason=reason, now=timezone.now(), by=staff(request)),
            done=f"{format_amount(receipt.amount, invoice.currency)} of {invoice} is settled.",
            then=invoice.get_absolute_url(),
        )

    def _pay_joint(self, request: HttpRequest, form: PaymentForm, object_id: int) -> HttpResponse:
        record_joint_payment(form.subject, form.receipt(), now=timezone.now(), by=staff(request))
        joint = JointInvoice.objects.get(pk=form.subject.pk)
        message = f"{joint} is paid." if joint.state == InvoiceState.PAID else f"Payment recorded for {joint}."
        return open_page(request, get_object_or_404(Invoice, pk=object_id).get_absolute_url(), message)

    @action(description="Credit note", icon="undo", permissions=["credit"])
    def credit_one(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Open a new credit note with the invoice's lines filled in."""
        return HttpResponseRedirect(reverse("admin:billing_credit_invoice", args=[object_id]))

    @action(description="Edit", icon="edit", permissions=["change"])
    def edit_one(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Open the form of a draft: the items of a one-off invoice, the extra lines of a subscription's."""
        kind = get_object_or_404(Invoice, pk=object_id).kind
        page = "billing_edit_one_off" if kind == InvoiceKind.ONE_OFF else "billing_edit_draft"
        return HttpResponseRedirect(reverse(f"admin:{page}", args=[object_id]))

    @action(
        description="Put on hold",
        icon="pause_circle",
        permissions=["change"],
        dialog={
            "title": "Put this draft on hold?",
            "description": "It can't be finalized, manually or automatically, until you release it.",
            "form_class": ReasonForm,
            "form_submit_text": "Put on hold",
        },
    )
    def hold_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        reason = form.cleaned_data["reason"]
        return _change(request, object_id, review.hold, "{} is on hold.", by=staff(request), reason=reason)

    @action(
        description="Release",
        icon="play_circle",
        permissions=["change"],
        dialog={
            "title": "Release this draft?",
            "description": "It is finalized automatically after its grace period, or now if that has ended.",
            "form_submit_text": "Release",
        },
    )
    def release_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        return _change(request, object_id, review.release, "{} was released.", by=staff(request))

    @action(
        description="Reissue",
        icon="published_with_changes",
        permissions=["change"],
        dialog={
            "title": "Void and reissue this invoice?",
            "description": "The invoice is voided, and a replacement is drafted from current data.",
            "form_class": VoidForm,
            "form_submit_text": "Reissue",
        },
    )
    def reissue_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        reason = form.cleaned_data["reason"]
        message = "{} replaces the voided invoice."
        return _change(request, object_id, void.reissue, message, by=staff(request), reason=reason)

    @action(
        description="Void",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["change"],
        dialog={
            "title": "Void this invoice?",
            "description": "The invoice keeps its number and can't be restored. To replace it, reissue it. Prepaid "
            "credit and discounts used on the invoice are returned; prepaid credit it granted is revoked.",
            "form_class": VoidForm,
            "form_submit_text": "Void",
        },
    )
    def void_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        reason = form.cleaned_data["reason"]
        return _change(request, object_id, void.void, "{} was voided.", by=staff(request), reason=reason)

    @action(
        description="Delete draft",
        icon="delete",
        variant=ActionVariant.DANGER,
        permissions=["change"],
        dialog={
            "title": "Delete this draft?",
            "description": "It has no number yet. Deleting it can't be undone.",
            "form_submit_text": "Delete draft",
        },
    )
    def delete_draft_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        invoice = get_object_or_404(Invoice, pk=object_id)
        message = f"{invoice} is deleted."
        void.delete_draft(invoice)
        return open_page(request, reverse("admin:billing_invoice_changelist"), message)


def _change(
    request: HttpRequest, object_id: int, change: Callable[..., Invoice], message: str, **arguments: Any
) -> HttpResponse:
    """Change an invoice and open its page, with the message."""
    changed = change(get_object_or_404(Invoice, pk=object_id), now=timezone.now(), **arguments)
    return open_page(request, changed.get_absolute_url(), message.format(changed))
