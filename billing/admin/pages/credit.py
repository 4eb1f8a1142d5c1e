"""The form for a new credit note: creditable amounts are filled in, and the effect is shown while typing."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.utils import timezone

from billing.admin.forms.credit_notes import CreditForm, describe_effect
from billing.models import CreditNote, Invoice
from billing.settlement.credit_notes import (
    build_credit_lines,
    calculate_creditable_amount,
    calculate_effect,
    check_total,
    draft_credit_note,
    finalize_credit_note,
    list_creditable_lines,
    sum_credit_lines,
)
from config.approvals.gate import ApprovalNeeded
from config.approvals.requests import request_approval
from config.office.dialogs import staff
from config.office.pages import AdminPage, AdminView
from config.refusals import Refused


class CreditView(AdminView):
    """Load the invoice and the form for its credit note."""

    permission = "billing.add_creditnote"

    def load_form(self) -> tuple[Invoice, CreditForm]:
        invoice = get_object_or_404(Invoice.objects.select_related("customer"), pk=self.kwargs["invoice_id"])
        lines = [line for line in list_creditable_lines(invoice) if line.charged.amount > 0]
        data = self.request.POST if self.request.method == "POST" else None
        return invoice, CreditForm(lines, invoice.currency, data)


class NewCreditNote(CreditView, AdminPage):
    """Write a credit note, as a draft or finalized immediately."""

    template_name = "admin/billing/creditnote/write.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.show_form(*self.load_form())

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        invoice, form = self.load_form()
        problem = ""
        if form.is_valid():
            try:
                note = write_credit_note(request, invoice, form)
                return HttpResponseRedirect(note.get_absolute_url())
            except Refused as refusal:
                problem = str(refusal)
        return self.show_form(invoice, form, problem)

    def show_form(self, invoice: Invoice, form: CreditForm, problem: str = "") -> HttpResponse:
        return self.render(
            title=f"Credit note for {invoice}",
            invoice=invoice,
            form=form,
            problem=problem,
            remaining_amount=calculate_creditable_amount(invoice),
            may_finalize=self.request.user.has_perm("billing.change_creditnote"),
            has_tax=any(line.charged.tax for line in form.lines),
        )


class CreditEffect(CreditView):
    """Show what the amounts in the form would do, as a fragment of the page."""

    template_name = "admin/billing/creditnote/effect.html"
    http_method_names = ("post",)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        invoice, form = self.load_form()
        form.is_valid()
        line_errors = [str(errors[0]) for name, errors in form.errors.items() if name.startswith("line-")]
        if line_errors:
            return self.render(invoice=invoice, problem=line_errors[0])
        if not form.amounts():
            return self.render(invoice=invoice)
        try:
            totals = sum_credit_lines(build_credit_lines(invoice, form.amounts()))
            check_total(invoice, totals["total"])
            effect = calculate_effect(invoice, totals["total"])
        except Refused as refusal:
            return self.render(invoice=invoice, problem=str(refusal))
        refund_to = form.cleaned_data.get("refund_to", "")
        return self.render(invoice=invoice, totals=totals, effect_text=describe_effect(invoice, effect, refund_to))


@transaction.atomic
def write_credit_note(request: HttpRequest, invoice: Invoice, form: CreditForm) -> CreditNote:
    """Create the credit note; finalize it if the user asked for that and has the permission.

    If finalizing it needs approval, the draft stays, and the approval is requested.
    """
    data = form.cleaned_data
    note = draft_credit_note(
        invoice,
        form.amounts(),
        reason=data["reason"],
        memo=data["memo"],
        refund_to=data["refund_to"],
        series_id=data["series"].pk if data["series"] else None,
        idempotency_key=f"admin:{data['token']}" if data["token"] else None,
        by=staff(request),
    )
    if "finalize" in request.POST and request.user.has_perm("billing.change_creditnote"):
        now = timezone.now()
        try:
            return finalize_credit_note(note, now=now, by=staff(request))
        except ApprovalNeeded as needed:
            request_approval(needed, now=now)
            messages.warning(request, f"{note} is a draft. Finalizing it waits for approval.")
    return note
