"""The oldest event that billing still needs. Retention keeps the events of open periods and drafts."""

from datetime import datetime

from django.db.models import Min
from django.db.models.functions import Coalesce

from billing.models import Invoice, InvoiceState
from customers.models import Subscription


def oldest_needed(now: datetime) -> datetime | None:
    """Return the start of the oldest period that isn't invoiced or whose invoice is a draft; `None` without any.

    A subscription that was never billed needs all events since its start.
    """
    unfinished = Subscription.objects.filter(billing__closed_at=None, started_at__lte=now)
    open_periods = unfinished.aggregate(oldest=Min(Coalesce("billing__billed_until", "started_at")))["oldest"]
    drafts = Invoice.objects.filter(state=InvoiceState.DRAFT).aggregate(oldest=Min("period_start"))["oldest"]
    return min((moment for moment in (open_periods, drafts) if moment is not None), default=None)
