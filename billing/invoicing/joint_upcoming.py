"""The subscriptions whose upcoming invoices will be on one joint invoice."""

from datetime import datetime

from billing.invoicing.subscriptions import with_payers
from billing.invoicing.upcoming import Upcoming, upcoming_many
from customers.models import Subscription


def upcoming_sections(upcoming: Upcoming, *, now: datetime) -> dict[int, Upcoming]:
    """Calculate the upcoming invoices that will share a joint invoice with this one, itself included, by subscription.

    Empty if the customer gets no joint invoices, or if no other invoice is due at the same moment in the currency.
    """
    subscription, invoice = upcoming.subscription, upcoming.invoice
    if not subscription.joins_invoices or invoice is None:
        return {}
    due_at = invoice.request.invoice.due_at
    others = with_payers(Subscription.objects.filter(currency=subscription.currency).exclude(started_at__gt=due_at))
    ids = others.filter(payer=subscription.payer_id).order_by("pk").values_list("pk", flat=True)
    by_id = {pk: upcoming if pk == subscription.subscription_id else None for pk in ids}
    calculated = upcoming_many([pk for pk, known in by_id.items() if known is None], now=now)
    sections = {pk: known or calculated[pk] for pk, known in by_id.items()}
    due = {
        pk: section
        for pk, section in sections.items()
        if section.invoice is not None and section.invoice.lines and section.invoice.request.invoice.due_at == due_at
    }
    return due if len(due) > 1 else {}
