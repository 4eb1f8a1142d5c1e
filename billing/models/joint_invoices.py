"""Joint invoices: one document, number and amount due for the invoices of several subscriptions, its sections.

A section is an `Invoice` of one subscription. All amounts, payments and credit notes are those of sections, so
that each section can be recalculated and corrected on its own.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.functional import cached_property

from billing.models.invoices import Invoice, InvoiceState, remaining_of
from billing.models.series import NumberSeries
from billing.money import ZERO
from config.db import CurrencyField, PublicIdField, Stamped, keep_rows
from customers.models import Customer

KEEP_NUMBERED = """
    RAISE EXCEPTION 'joint invoice % is finalized and never changes', OLD.number
        USING ERRCODE = 'restrict_violation';
"""


class JointInvoice(Stamped):
    """The document of several subscriptions' invoices that are due at one moment. It is finalized with all of them."""

    public_id = PublicIdField("jinv")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="joint_invoices")
    currency = CurrencyField()
    period_end = models.DateTimeField(
        help_text="The moment at which the periods of its sections end, or their fees in advance are due."
    )
    number = models.CharField(max_length=56, unique=True, null=True, editable=False)
    series = models.ForeignKey(NumberSeries, models.PROTECT, null=True, editable=False, related_name="+")
    finalized_at = models.DateTimeField(null=True, editable=False)
    replaces = models.OneToOneField("self", models.PROTECT, null=True, editable=False, related_name="replaced_by")

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["customer", "currency", "period_end"],
                name="joint_invoice_one_open",
                condition=Q(number=None, replaces=None),
            ),
            models.CheckConstraint(
                name="joint_invoice_number_when_finalized",
                condition=Q(number=None, series=None, finalized_at=None)
                | Q(number__isnull=False, series__isnull=False, finalized_at__isnull=False),
            ),
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Trigger(
                name="keep_numbered",
                operation=pgtrigger.Update | pgtrigger.Delete,
                when=pgtrigger.Before,
                condition=pgtrigger.Condition("OLD.number IS NOT NULL"),
                func=KEEP_NUMBERED,
            ),
        ]

    def __str__(self) -> str:
        return self.number or f"Joint draft {self.public_id[-6:]}"

    @cached_property
    def parts(self) -> list[Invoice]:
        """Its sections in their order, loaded once."""
        sections = list(self.sections.all())
        return sorted(sections, key=lambda section: (section.subscription_id or 0, section.pk))

    @property
    def state(self) -> InvoiceState:
        """Its state: the sections are finalized and voided together, and it is paid once all of them are."""
        states = {InvoiceState(section.state) for section in self.parts}
        if InvoiceState.FINALIZED in states:
            return InvoiceState.FINALIZED
        return states.pop() if len(states) == 1 else InvoiceState.DRAFT

    @property
    def is_draft(self) -> bool:
        return self.number is None

    @property
    def subtotal(self) -> Decimal:
        return self._sum("subtotal")

    @property
    def discount_total(self) -> Decimal:
        return self._sum("discount_total")

    @property
    def tax_total(self) -> Decimal:
        return self._sum("tax_total")

    @property
    def tax_included(self) -> Decimal:
        return self._sum("tax_included")

    @property
    def total(self) -> Decimal:
        return self._sum("total")

    @property
    def credits_applied(self) -> Decimal:
        return self._sum("credits_applied")

    @property
    def amount_due(self) -> Decimal:
        return self._sum("amount_due")

    @property
    def amount_paid(self) -> Decimal:
        return self._sum("amount_paid")

    @property
    def amount_credited(self) -> Decimal:
        return self._sum("amount_credited")

    @property
    def amount_remaining(self) -> Decimal:
        """The amount left to pay; negative if a refund is due."""
        return remaining_of(self.amount_due, self.amount_credited, self.amount_paid)

    @property
    def due_at(self) -> datetime | None:
        """When it is due. All sections are due at the same time."""
        return next((section.due_at for section in self.parts), None)

    @property
    def issued_on(self) -> date | None:
        return next((section.issued_on for section in self.parts), None)

    @property
    def due_on(self) -> date | None:
        return next((section.due_on for section in self.parts), None)

    @property
    def paid_on(self) -> date | None:
        """The day of full payment: the latest of its sections'."""
        days = [section.paid_on for section in self.parts]
        return max((day for day in days if day is not None), default=None) if all(days) else None

    @property
    def po_number(self) -> str:
        """The different PO numbers of its sections, separated by commas."""
        return ", ".join(dict.fromkeys(section.po_number for section in self.parts if section.po_number))

    def _sum(self, column: str) -> Decimal:
        return sum((getattr(section, column) for section in self.parts), ZERO)
