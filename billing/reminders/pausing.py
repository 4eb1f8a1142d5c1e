"""Pause reminders of an invoice or of a customer, and end the pause."""

from datetime import date, datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from billing.models import Invoice, InvoiceState, PauseKind, ReminderPause
from billing.refusals import CannotChange
from billing.reminders.planning import company_day
from config.audit import recorded
from customers.models import Customer


def pause_reminders(
    customer: Customer,
    *,
    invoice: Invoice | None = None,
    kind: PauseKind,
    reason: str,
    promised_on: date | None = None,
    now: datetime,
    by: User | None,
) -> ReminderPause:
    """Pause reminders of an invoice, or without one of all invoices of a customer; replace the pause that there is.

    After the promised day has passed, reminders go on. Raises `CannotChange` for a promise in the past, and for an
    invoice with nothing left to pay.
    """
    if kind != PauseKind.PROMISE:
        promised_on = None
    elif promised_on is None:
        raise CannotChange("Enter the date on which the customer promised to pay.")
    if promised_on is not None and promised_on < company_day(now):
        raise CannotChange("Choose a promised date that isn't in the past.")
    if not reason.strip():
        raise CannotChange("Enter a reason.")
    if invoice is not None and (invoice.state != InvoiceState.FINALIZED or invoice.amount_remaining <= 0):
        raise CannotChange(f"{invoice} isn't reminded of: it must be finalized, with an amount left to pay.")
    with transaction.atomic(), recorded(by=by, reason=reason):
        # Locked, so that of two pauses at once the second replaces the first.
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        _end(ReminderPause.objects.filter(customer=customer, invoice=invoice), now=now, by=by)
        pause = ReminderPause(
            customer=customer,
            invoice=invoice,
            kind=kind,
            reason=reason.strip(),
            promised_on=promised_on,
            created_by=by,
        )
        pause.save()
    return pause


def end_pause(pause: ReminderPause, *, now: datetime, by: User | None) -> ReminderPause:
    """End a pause: the next run takes the latest step that is due. Safe to repeat."""
    with transaction.atomic(), recorded(by=by):
        _end(ReminderPause.objects.filter(pk=pause.pk), now=now, by=by)
    pause.refresh_from_db()
    return pause


def _end(pauses: QuerySet[ReminderPause], *, now: datetime, by: User | None) -> None:
    for pause in pauses.filter(ended_at=None).select_for_update(no_key=True, of=("self",)):
        pause.ended_at, pause.ended_by = now, by
        pause.save(update_fields=["ended_at", "ended_by", "updated_at"])
