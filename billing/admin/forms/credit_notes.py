"""The form of a credit note, and the dialog that finalizes one."""

import secrets
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.forms import BoundField
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from billing.admin.forms.payments import amount_text
from billing.models import CreditNote, CreditReason, Invoice, NumberSeries, RefundTo, SeriesUse
from billing.money import ZERO, format_amount
from billing.settlement.credit_notes import CreditableLine, CreditEffect, calculate_effect
from config.inputs import NumberField


class CreditForm(forms.Form):
    """The reason for a credit note, where paid amounts are refunded to, and an amount for each invoice line."""

    reason = forms.ChoiceField(choices=[("", "Choose…"), *CreditReason.choices], widget=UnfoldAdminSelectWidget)
    memo = forms.CharField(
        label="Explanation",
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="Shown to the customer.",
    )
    refund_to = forms.ChoiceField(
        label="Refund paid amounts",
        choices=[
            (RefundTo.OUTSIDE, "by bank transfer, card or other payment"),
            (RefundTo.WALLET, "as prepaid credit"),
        ],
        widget=UnfoldAdminSelectWidget,
    )
    series = forms.ModelChoiceField(
        NumberSeries.objects.filter(used_for=SeriesUse.CREDIT_NOTE),
        label="Number series",
        required=False,
        empty_label="Default series",
        widget=UnfoldAdminSelectWidget,
    )
    token = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)

    def __init__(self, lines: Sequence[CreditableLine], currency: str, data: Any = None) -> None:
        super().__init__(data, initial={"token": secrets.token_hex(16)})
        self.lines = lines
        self.fields["memo"].widget.attrs["rows"] = 2
        for creditable in lines:
            self.fields[self.field_name(creditable)] = NumberField(
                required=False,
                max_digits=24,
                decimal_places=4,
                initial=amount_text(ZERO, currency),
                widget=UnfoldAdminTextInputWidget(
                    attrs={
                        "inputmode": "decimal",
                        "class": "ch-amount-input",
                        "data-remaining": amount_text(creditable.remaining, currency),
                        "aria-label": f"Credit for {creditable.line.description}",
                    }
                ),
            )

    @staticmethod
    def field_name(creditable: CreditableLine) -> str:
        return f"line-{creditable.line.pk}"

    def rows(self) -> list[tuple[CreditableLine, BoundField]]:
        """Pair each line with its field."""
        return [(creditable, self[self.field_name(creditable)]) for creditable in self.lines]

    def amounts(self) -> dict[int, Decimal]:
        """Return the amounts to credit, by invoice line."""
        amounts = {line.line.pk: self.cleaned_data.get(self.field_name(line)) for line in self.lines}
        return {line_id: amount for line_id, amount in amounts.items() if amount}


class FinalizeNoteForm(BaseDialogForm):
    """Show what finalizing a credit note does."""

    form_before_template = "admin/billing/payment/about.html"

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        note = get_object_or_404(CreditNote.objects.select_related("invoice"), pk=object_id)
        effect = describe_effect(note.invoice, calculate_effect(note.invoice, note.total), note.refund_to)
        return {"description": f"{effect} The credit note gets the next number and can no longer be changed."}


def describe_effect(invoice: Invoice, effect: CreditEffect, refund_to: str) -> str:
    """Describe what a credit note does to its invoice, in money."""

    def amount(value: Decimal) -> str:
        return format_amount(value, invoice.currency)

    sentences = []
    if effect.reduction:
        sentences.append(
            f"Reduces the amount due on {invoice} by {amount(effect.reduction)}, leaving {amount(effect.remaining)}."
        )
    if effect.refund_due:
        destination = "becomes prepaid credit" if refund_to == RefundTo.WALLET else "is due as a refund"
        sentences.append(f"{amount(effect.refund_due)} was already paid and {destination}.")
    return " ".join(sentences)
