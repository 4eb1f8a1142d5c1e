"""Take the steps that are due: queue the email, draft the late fee, pause the subscription, add a task, once each."""

import logging
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Min

from billing.emails.composing import Topic, about_reminder
from billing.emails.outbox import queue_reminder
from billing.isolation import isolate
from billing.models import (
    CompanyProfile,
    Email,
    EmailKind,
    EmailState,
    Invoice,
    Reminder,
    ReminderAttachment,
)
from billing.models.invoices import local_day
from billing.models.reminders import describe_days
from billing.notifications import notify_reminder
from billing.reminders.late_fees import draft_late_fee
from billing.reminders.planning import PlannedReminder, company_day, plan_reminders
from billing.settlement.payments import lock_invoice
from config.audit import recorded
from config.refusals import Refused
from config.webhooks.names import WebhookEvent
from customers.models import Subscription
from customers.periods import local_date
from customers.subscriptions.change import pause

log = logging.getLogger(__name__)

SENT_FROM_HOUR = 8  # of the company's day: customers shouldn't get reminders at night
LONGEST_NOTE = 500


def take_due_steps(*, now: datetime) -> Iterator[int]:
    """Take the steps that are due today, each in a transaction, from eight in the morning; yield 1 for each.

    Safe to repeat, to kill at any time, and to run concurrently. An unexpected error is raised after the other invoices
    had their turn, and the schedule tries again.
    """
    if now.astimezone(ZoneInfo(CompanyProfile.current().timezone)).hour < SENT_FROM_HOUR:
        return
    today = company_day(now)
    errors: list[Exception] = []

    def take(invoices: Sequence[Invoice]) -> int:
        return sum(take_step(invoice, today=today, now=now) is not None for invoice in invoices)

    def note(invoice: Invoice, error: Exception) -> int:
        log.error("The reminder of invoice %s failed", invoice.public_id, exc_info=error)
        errors.append(error)
        return 0

    for planned in plan_reminders(today):
        yield sum(isolate([planned.invoice], take, note))
    if errors:
        raise errors[0]


def take_step(invoice: Invoice, *, today: date, now: datetime) -> Reminder | None:
    """Take the step that is due for an invoice; return `None` if none is any more.

    The subscription and the invoice are locked first, so a payment that is being recorded is waited for, and of two
    workers one takes the step.
    """
    with transaction.atomic(), recorded(by=None, reason="Payment reminder"):
        if invoice.subscription_id is not None:
            Subscription.objects.select_for_update(no_key=True).get(pk=invoice.subscription_id)
        lock_invoice(invoice)
        planned = next(plan_reminders(today, only=invoice), None)
        return None if planned is None else _take(planned, today=today, now=now)


def _take(planned: PlannedReminder, *, today: date, now: datetime) -> Reminder:
    step = planned.step
    notes = []
    reminder = Reminder(
        invoice=planned.invoice,
        schedule=planned.schedule,
        days=step.days,
        taken_on=today,
        amount=planned.amount,
        needs_person=step.needs_person,
    )
    if step.pauses_subscription and (problem := _pause_subscription(planned, now=now)):
        notes.append(problem)
        reminder.needs_person = True
    reminder.has_paused = step.pauses_subscription and not notes
    try:
        reminder.fee_invoice, reminder.interest_until = draft_late_fee(planned, today=today, now=now)
    except Refused as refusal:
        notes.append(f"No late fee was charged: {refusal}")
        reminder.needs_person = True
    if step.email:
        reminder.email = _queue_email(planned, now=now)
    reminder.note = " ".join(notes)[:LONGEST_NOTE]
    reminder.save()
    notify_reminder(WebhookEvent.REMINDER_CREATED, reminder, now=now)
    return reminder


def _pause_subscription(planned: PlannedReminder, *, now: datetime) -> str:
    """Pause the invoice's subscription; return why it couldn't be, or an empty text."""
    subscription = planned.invoice.subscription
    if subscription is None:
        return "The invoice has no subscription to pause."
    earlier = Reminder.objects.filter(invoice=planned.invoice, days__lt=planned.step.days)
    if not earlier.filter(email__state=EmailState.SENT).exists():
        return "The subscription wasn't paused: no earlier reminder of the invoice was sent."
    try:
        reason = f"Invoice {planned.invoice} is unpaid {describe_days(planned.step.days)}"
        pause(subscription, at=now, now=now, by=None, reason=reason)
    except Refused as refusal:
        return f"The subscription wasn't paused: {refusal}"
    return ""


def _queue_email(planned: PlannedReminder, *, now: datetime) -> Email:
    topic = build_topic(planned, now=now)
    return queue_reminder(topic, now=now)


def build_topic(planned: PlannedReminder, *, now: datetime) -> Topic:
    """Return what a step's email is about: the invoice, and the days of its statement if one is attached.

    The statement begins on the day on which the customer's oldest unpaid invoice in the currency was issued.
    """
    invoice, kind = planned.invoice, EmailKind(planned.step.email)
    if planned.step.attachment != ReminderAttachment.STATEMENT:
        return about_reminder(invoice, kind)
    unpaid = Invoice.objects.to_pay().filter(customer=invoice.customer_id, currency=invoice.currency)
    first_day = unpaid.aggregate(first=Min(local_day("issued_at")))["first"]
    last_day = local_date(now, invoice.customer.timezone)
    return about_reminder(invoice, kind, first_day=min(first_day, last_day), last_day=last_day)


def mark_reminder_handled(reminder: Reminder, *, reason: str = "", now: datetime, by: User | None) -> Reminder:
    """Note that someone took care of a reminder's task, and how. Safe to repeat. Raises `Refused` if it has no task."""
    with transaction.atomic(), recorded(by=by, reason=reason):
        locked = Reminder.objects.select_for_update(no_key=True, of=("self",)).get(pk=reminder.pk)
        if not locked.needs_person:
            raise Refused("This reminder has no task.")
        if locked.handled_at is None:
            locked.handled_at, locked.handled_by, locked.handled_reason = now, by, reason.strip()
            locked.save(update_fields=["handled_at", "handled_by", "handled_reason"])
            notify_reminder(WebhookEvent.REMINDER_HANDLED, locked, now=now)
    return locked
