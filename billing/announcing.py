"""Telling other systems what became of invoices, in the transaction that changes them."""

from collections.abc import Sequence
from datetime import datetime

from billing.models import Invoice
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import Told, emit


def announce(event: WebhookEvent, invoices: Sequence[Invoice], *, now: datetime) -> None:
    """Tell what became of invoices that are saved, without their lines. The same queries for any number of them."""

    def told() -> Told:
        from billing.serializers import written  # it reads upcoming invoices, which are made by what announces

        rows = Invoice.objects.filter(pk__in=[invoice.pk for invoice in invoices]).order_by("pk")
        shown = written(rows.select_related("customer", "subscription"), with_lines=False)
        return [(row["id"], row) for row in shown]

    if invoices:
        emit(event, "invoice", told, at=now)
