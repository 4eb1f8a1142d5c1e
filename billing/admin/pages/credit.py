"""Writing a credit note on an invoice's lines: what is left is filled in, the effect in money shows as one types."""

import secrets
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from billing.admin.forms.payments import amount_text
from billing.models import CreditReason, Invoice, NumberSeries, RefundTo, SeriesUse
from billing.money import format_amount
from billing.settlement.credit_notes import (
    CreditableLine,
    CreditEffect,
    build_credit_lines,
    calculate_creditable_amount,
    calculate_effect,
    check_total,
    draft_credit_note,
    finalize_credit_note,
    list_creditable_lines,
    sum_credit_lines,
)
from config.office.base import staff
from config.refusals import Refused

if TYPE_CHECKING:
    from billing.admin.invoices import InvoiceAdmin


class CreditForm(forms.Form):
    """Why an invoice is credited, where money that was paid goes, and an amount for each of its lines."""

    reason = forms.ChoiceField(choices=[("", "Choose…"), *CreditReason.choices], widget=UnfoldAdminSelectWidget)
    memo = forms.CharField(
        label="Explanation",
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="Shown to the customer.",
    )
    refund_to = forms.ChoiceField(
        label="Money that was paid goes back",
        choices=[(RefundTo.OUTSIDE, "outside, by a transfer or the card"), (RefundTo.WALLET, "into prepaid credit")],
        widget=UnfoldAdminSelectWidget,
    )
    series = forms.ModelChoiceField(
        NumberSeries.objects.filter(used_for=SeriesUse.CREDIT_NOTE),
        label="Number series",
        required=False,
        empty_label="The default one",
        widget=UnfoldAdminSelectWidget,
    )
    token = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)

    def __init__(self, charges: Sequence[CreditableLine], currency: str, data: Any = None) -> None:
        super().__init__(data, initial={"token": secrets.token_hex(16)})
        self.charges = charges
        self.fields["memo"].widget.attrs["rows"] = 2
        for each in charges:
            self.fields[f"line-{each.line.pk}"] = forms.DecimalField(
                required=False,
                max_digits=24,
                decimal_places=4,
                initial=amount_text(each.remaining, currency),
                widget=UnfoldAdminTextInputWidget(
                    attrs={
                        "inputmode": "decimal",
                        "class": "ch-amount-input",
                        "aria-label": f"Credit of {each.line.description}",
                    }
                ),
            )

    def rows(self) -> list[tuple[CreditableLine, Any]]:
        """Pair each line with its field."""
        return [(each, self[f"line-{each.line.pk}"]) for each in self.charges]

    def amounts(self) -> dict[int, Decimal]:
        """Return the amounts that were given, by line."""
        given = {each.line.pk: self.cleaned_data.get(f"line-{each.line.pk}") for each in self.charges}
        return {key: amount for key, amount in given.items() if amount}


def urls(page: "InvoiceAdmin") -> list[URLPattern]:
    """List the pages' addresses, under the invoice list's."""

    def write_view(request: HttpRequest, invoice_id: int) -> HttpResponse:
        return credit_page(page, request, invoice_id)

    def effect_view(request: HttpRequest, invoice_id: int) -> HttpResponse:
        return credit_effect(request, invoice_id)

    view = page.admin_site.admin_view
    return [
        path("<int:invoice_id>/credit/", view(write_view), name="billing_credit_invoice"),
        path("<int:invoice_id>/credit/effect/", require_POST(view(effect_view)), name="billing_credit_effect"),
    ]


def credit_page(page: "InvoiceAdmin", request: HttpRequest, invoice_id: int) -> HttpResponse:
    """Write a credit note: as a draft, or finalized at once. For staff who may add credit notes."""
    invoice, charges, form = _asked(request, invoice_id)
    problem = ""
    if request.method == "POST" and form.is_valid():
        try:
            return HttpResponseRedirect(_write(request, invoice, form))
        except Refused as refused:
            problem = str(refused)
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": f"Credit note on {invoice}",
        "invoice": invoice,
        "form": form,
        "problem": problem,
        "remaining_amount": calculate_creditable_amount(invoice),
        "may_finalize": request.user.has_perm("billing.change_creditnote"),
        "has_tax": any(each.charged.tax for each in charges),
    }
    return TemplateResponse(request, "admin/billing/creditnote/write.html", context)


def credit_effect(request: HttpRequest, invoice_id: int) -> HttpResponse:
    """Answer what the amounts as typed would do, as a piece of the page. For staff who may add credit notes."""
    invoice, _, form = _asked(request, invoice_id)
    form.is_valid()
    wrong = [str(errors[0]) for name, errors in form.errors.items() if name.startswith("line-")]
    context: dict[str, Any] = {"invoice": invoice, "problem": wrong[0] if wrong else ""}
    if not wrong:
        try:
            totals = sum_credit_lines(build_credit_lines(invoice, form.amounts()))
            check_total(invoice, totals["total"])
            effect = calculate_effect(invoice, totals["total"])
            context |= {
                "totals": totals,
                "effect_text": describe_effect(invoice, effect, form.cleaned_data.get("refund_to", "")),
            }
        except Refused as refused:
            context["problem"] = str(refused)
    return render(request, "admin/billing/creditnote/effect.html", context)


def describe_effect(invoice: Invoice, effect: CreditEffect, refund_to: str) -> str:
    """Say in money what a credit note does to its invoice."""
    currency = invoice.currency
    parts = []
    if effect.reduction:
        left = format_amount(effect.remaining, currency)
        parts.append(
            f"Takes {format_amount(effect.reduction, currency)} off what is to be paid of {invoice}: {left} is left."
        )
    if effect.refund_due:
        amount = format_amount(effect.refund_due, currency)
        where = "becomes prepaid credit" if refund_to == RefundTo.WALLET else "is to be paid back"
        parts.append(f"{amount} was paid already and {where}.")
    return " ".join(parts)


def _asked(request: HttpRequest, invoice_id: int) -> tuple[Invoice, list[CreditableLine], CreditForm]:
    if not request.user.has_perm("billing.add_creditnote"):
        raise PermissionDenied
    invoice = get_object_or_404(Invoice.objects.select_related("customer"), pk=invoice_id)
    charges = [each for each in list_creditable_lines(invoice) if each.charged.amount > 0]
    return invoice, charges, CreditForm(charges, invoice.currency, request.POST if request.method == "POST" else None)


def _write(request: HttpRequest, invoice: Invoice, form: CreditForm) -> str:
    data = form.cleaned_data
    with transaction.atomic():
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
            note = finalize_credit_note(note, now=timezone.now(), by=staff(request))
    return note.get_absolute_url()
