"""Questions about many invoices. The clock is passed in."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import F, QuerySet

if TYPE_CHECKING:
    from billing.models import Invoice  # noqa: F401  the base class names it

REMAINING = F("amount_due") - F("amount_credited") - F("amount_paid")


class InvoiceQuerySet(QuerySet["Invoice"]):
    """Chainable questions about invoices, one query each."""

    def drafts(self) -> InvoiceQuerySet:
        """Keep invoices that can still change."""
        return self.filter(state="draft")

    def due_for_finalizing(self, at: datetime) -> InvoiceQuerySet:
        """Keep drafts whose grace period has ended by the moment, without those that are held back."""
        return self.filter(state="draft", finalize_at__lte=at, held_at=None)

    def overdue(self, at: datetime) -> InvoiceQuerySet:
        """Keep finalized invoices that are not fully paid or credited after their due date."""
        return self.to_pay().filter(due_at__lt=at)

    def to_pay(self) -> InvoiceQuerySet:
        """Keep finalized invoices on which something is left to pay, due or not."""
        return self.filter(state="finalized", amount_due__gt=F("amount_paid") + F("amount_credited"))

    def to_give_back(self) -> InvoiceQuerySet:
        """Keep invoices on which more was paid or credited than is due, and those below zero: owed to the customer."""
        settled = F("amount_paid") + F("amount_credited")
        return self.filter(state__in=["finalized", "paid"], amount_due__lt=settled)
