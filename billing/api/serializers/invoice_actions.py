"""Bodies and answers of the actions on invoices: reissue, hold, recalculate, modify, and the proof of lines."""

from typing import Any

from rest_framework import serializers

from billing.api.fields import MoneyField, amount_field
from billing.explanation.text import explain_line
from billing.models import InvoiceLine
from config.api.fields import MomentField, NumberIn, QuantityField, TextField
from config.api.reasons import ReasonIn
from config.limits import MOST_ITEMS


class RecalculateQuery(serializers.Serializer[Any]):
    """What to do with the recalculated draft."""

    finalize = serializers.BooleanField(default=False, help_text="Finalize the draft after recalculating it.")


class WorkflowOut(serializers.Serializer[Any]):
    """The invoice was recalculated. There is no workflow to follow: the work is done when the answer arrives."""

    message = serializers.CharField()
    invoice_id = serializers.CharField(help_text="The recalculated draft.")
    workflow_id = serializers.CharField(allow_null=True, help_text="Always null.")
    run_id = serializers.CharField(allow_null=True, help_text="Always null.")


class FinalizeManyIn(serializers.Serializer[Any]):
    """The drafts to finalize."""

    invoice_ids = serializers.ListField(child=serializers.CharField(max_length=64), min_length=1, max_length=500)


class HoldManyIn(FinalizeManyIn, ReasonIn):
    """The drafts to put on hold, and the reason."""


class OutcomeOut(serializers.Serializer[Any]):
    """The result for one invoice: its number, or why it was skipped."""

    invoice_id = serializers.CharField(source="invoice.public_id")
    invoice_number = serializers.CharField(source="invoice.number", allow_null=True)
    skipped = serializers.CharField(help_text="Why the invoice wasn't finalized or put on hold; blank if it was.")


class OutcomesOut(serializers.Serializer[Any]):
    """The result for each invoice, in the order of creation."""

    items = OutcomeOut(many=True)


class DraftTotalsOut(serializers.Serializer[Any]):
    """The drafts of one currency."""

    currency = serializers.CharField()
    drafts = serializers.IntegerField()
    held = serializers.IntegerField(help_text="The drafts on hold.")
    total = MoneyField()


class DraftSummaryOut(serializers.Serializer[Any]):
    """The drafts by currency."""

    items = DraftTotalsOut(many=True)


class ModifiedItem(serializers.Serializer[Any]):
    """The fields of a line item to change."""

    display_name = TextField(512, allow_blank=False)
    quantity = NumberIn(max_digits=24, decimal_places=12, required=False, allow_null=True)
    amount = amount_field(required=False, allow_null=True)
    period_start = MomentField(required=False, allow_null=True)
    period_end = MomentField(required=False, allow_null=True)


class AddedItem(ModifiedItem):
    """A new line item. The amount is its total, not the amount of one unit."""

    display_name = TextField(512, required=True, allow_blank=False)
    amount = amount_field()


class ModifyLineItems(serializers.Serializer[Any]):
    """Add `items`, change one line item with `update`, or remove line items."""

    action = serializers.ChoiceField(["add", "update", "remove"])
    items = AddedItem(many=True, required=False, max_length=MOST_ITEMS)  # type: ignore[call-arg]  # a list takes it
    line_item_id = TextField(64)
    update = ModifiedItem(required=False)  # type: ignore[assignment]  # a field named as the base class's method
    line_item_ids = serializers.ListField(
        child=serializers.CharField(max_length=64), required=False, max_length=MOST_ITEMS
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        needed = {"add": ("items",), "update": ("line_item_id", "update"), "remove": ("line_item_ids",)}
        missing = [name for name in needed[attrs["action"]] if not attrs.get(name)]
        if missing:
            raise serializers.ValidationError({key: ["This field is required for the action."] for key in missing})
        return attrs


class InvoiceModifyIn(serializers.Serializer[Any]):
    """A change of a one-off draft's line items."""

    type = serializers.ChoiceField(["line_item"])
    line_item_params = ModifyLineItems()


class ProofFindingOut(serializers.Serializer[Any]):
    """A figure on the line, and counted again."""

    name = serializers.CharField()
    on_invoice = QuantityField()
    recounted = QuantityField()
    difference = QuantityField()
    agrees = serializers.BooleanField()


class CorrectionOut(serializers.Serializer[Any]):
    """A later line that charges or credits the difference."""

    invoice_id = serializers.CharField(source="invoice.public_id")
    line_id = serializers.CharField(source="public_id")
    amount = MoneyField(currency="invoice.currency")


class ProofOut(serializers.Serializer[Any]):
    """The line's figures, counted again from its events. If they differ, usage changed after the calculation."""

    agrees = serializers.BooleanField()
    findings = ProofFindingOut(many=True)
    corrected_by = CorrectionOut(many=True)


class ExplanationOut(serializers.Serializer[Any]):
    """How a line was calculated: sentences for people, and the recorded figures for programs."""

    line_id = serializers.CharField(source="public_id")
    display_name = serializers.CharField(source="description")
    amount = MoneyField(currency="invoice.currency")
    steps = serializers.SerializerMethodField()
    computation = serializers.DictField(child=serializers.JSONField())

    def get_steps(self, line: InvoiceLine) -> list[str]:
        return explain_line(line, line.invoice.currency)
