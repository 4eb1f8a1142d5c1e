"""From when on billing still needs events: retention removes none that an open period or draft is computed from."""

from datetime import datetime

from django.db.models import Min
from django.db.models.functions import Coalesce

from billing.models import Invoice, InvoiceState
from customers.models import Subscription


def oldest_needed(now: datetime) -> datetime | None:
    """Give the start of the oldest period that is not invoiced yet, or whose invoice is a draft; None without any.

    A subscription whose every period is invoiced needs nothing; one that was never billed needs all since its start.
    """
    waiting = Subscription.objects.filter(billing__closed_at=None, started_at__lte=now)
    open_periods = waiting.aggregate(oldest=Min(Coalesce("billing__billed_until", "started_at")))["oldest"]
    drafts = Invoice.objects.filter(state=InvoiceState.DRAFT).aggregate(oldest=Min("period_start"))["oldest"]
    return min((moment for moment in (open_periods, drafts) if moment is not None), default=None)
