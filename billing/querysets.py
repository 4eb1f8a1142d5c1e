"""Questions about many invoices. The clock is passed in."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import F, QuerySet

if TYPE_CHECKING:
    from billing.models import Invoice  # noqa: F401  the base class names it


class InvoiceQuerySet(QuerySet["Invoice"]):
    """Chainable questions about invoices, one query each."""

    def drafts(self) -> InvoiceQuerySet:
        """Keep invoices that can still change."""
        return self.filter(state="draft")

    def due_for_finalizing(self, at: datetime) -> InvoiceQuerySet:
        """Keep drafts whose grace period has ended by the moment."""
        return self.filter(state="draft", finalize_at__lte=at)

    def overdue(self, at: datetime) -> InvoiceQuerySet:
        """Keep finalized invoices that are not fully paid after their due date."""
        return self.filter(state="finalized", due_at__lt=at, amount_paid__lt=F("amount_due"))
