"""Invoice lines. The database rejects changes to the lines of a finalized invoice."""

from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import Q

from billing.kinds import LineKind
from billing.models.invoices import Invoice
from catalog.models import Feature, PlanVersion, Price
from config.db import UNLESS_ERASING, AmountField, NumericField, PublicIdField, UnitPriceField, keep_rows

LINES_NEVER_CHANGE = """
        RAISE EXCEPTION 'the lines of a finalized invoice never change: correct them by a new line or a credit note'
            USING ERRCODE = 'restrict_violation';
"""


FREEZE_LINE = f"""
    {UNLESS_ERASING}
    IF EXISTS (
        SELECT FROM billing_invoice
        WHERE id IN (OLD.invoice_id, CASE WHEN TG_OP = 'UPDATE' THEN NEW.invoice_id END) AND state <> 'draft'
    ) THEN {LINES_NEVER_CHANGE}
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
"""


# A billing run inserts thousands of lines in one statement, so their invoices are checked together at its end.
FREEZE_NEW_LINES = f"""
    IF EXISTS (
        SELECT FROM fresh JOIN billing_invoice AS invoice ON invoice.id = fresh.invoice_id
        WHERE invoice.state <> 'draft'
    ) THEN {LINES_NEVER_CHANGE}
    END IF;
    RETURN NULL;
"""


class InvoiceLine(models.Model):
    """One charge, with everything it was calculated from, so that it can be verified later."""

    public_id = PublicIdField("line")
    invoice = models.ForeignKey(Invoice, models.CASCADE, related_name="lines")
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, choices=LineKind.choices)
    description = models.CharField(max_length=512)
    feature = models.ForeignKey(Feature, models.PROTECT, null=True, blank=True, db_index=False, related_name="+")
    price = models.ForeignKey(Price, models.PROTECT, null=True, blank=True, db_index=False, related_name="+")
    plan_version = models.ForeignKey(
        PlanVersion, models.PROTECT, null=True, blank=True, db_index=False, related_name="+"
    )
    period_start = models.DateTimeField(null=True, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)
    quantity = NumericField(default=1, help_text="Units used, or number of fees.")
    free_units = NumericField(default=0, help_text="The part of the quantity that is free of charge.")
    billable_quantity = NumericField(default=1)
    unit_amount = UnitPriceField(null=True, blank=True, help_text="Set if the same price applies to every unit.")
    amount = AmountField(help_text="Rounded to the invoice's currency.")
    exact_amount = NumericField(default=0, help_text="The amount before rounding.")
    discount_amount = AmountField(default=0, db_default=0, help_text="The line's share of all discounts.")
    tax_amount = AmountField(default=0, db_default=0, help_text="The line's share of exclusive taxes.")
    tax_included = AmountField(default=0, db_default=0, help_text="Tax included in the line's amount.")
    computation = models.JSONField(
        default=dict, blank=True, help_text="How the amount was calculated: tiers, prorated days and so on."
    )
    events_count = models.BigIntegerField(null=True, blank=True)
    events_checksum = models.BigIntegerField(null=True, blank=True)
    adjusts = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="adjusted_by")
    adjusts_invoice = models.ForeignKey(
        Invoice,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="adjusted_by",
        help_text="For late usage, the invoice of the original period; empty if nothing was invoiced for it.",
    )

    class Meta:
        ordering: ClassVar = ["invoice", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["invoice", "position"], name="line_position_once"),
            models.CheckConstraint(
                name="line_usage_has_proof",
                condition=~Q(kind__in=["usage", "late_usage"])
                | Q(
                    feature__isnull=False,
                    price__isnull=False,
                    events_count__isnull=False,
                    events_checksum__isnull=False,
                ),
            ),
            models.CheckConstraint(
                name="line_late_names_what",
                condition=~Q(kind="late_usage")
                | Q(period_start__isnull=False, period_end__isnull=False, computation__has_key="late"),
            ),
            models.CheckConstraint(
                name="line_adjusts_a_line_of_the_invoice",
                condition=Q(adjusts=None) | Q(adjusts_invoice__isnull=False),
            ),
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Trigger(
                name="freeze_line",
                operation=pgtrigger.Update | pgtrigger.Delete,
                when=pgtrigger.Before,
                func=FREEZE_LINE,
            ),
            pgtrigger.Trigger(
                name="freeze_new_lines",
                level=pgtrigger.Statement,
                operation=pgtrigger.Insert,
                when=pgtrigger.After,
                referencing=pgtrigger.Referencing(new="fresh"),
                func=FREEZE_NEW_LINES,
            ),
        ]

    def __str__(self) -> str:
        return self.description
