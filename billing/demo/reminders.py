"""The demo's reminders: schedules, a promise to pay, and the reminders of the demo's overdue invoices."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Min

from billing.demo.customers import MADE_ON, MIRAI, PALISADE, TINTA
from billing.models import Invoice, PauseKind, ReminderEmail, ReminderSchedule
from billing.models.invoices import local_day
from billing.reminders.pausing import pause_reminders
from billing.reminders.planning import company_day, plan_reminders
from billing.reminders.schedules import STANDARD_STEPS, ScheduleTerms, assign_schedule, save_schedule
from billing.reminders.taking import take_step
from customers.models import Customer

PROMISED_AFTER = timedelta(days=5)
GENTLE_STEPS: tuple[dict[str, Any], ...] = (
    {"days": 14, "email": ReminderEmail.REMINDER},
    {"days": 45, "email": ReminderEmail.FINAL_NOTICE, "needs_person": True},
)


def make_reminders(*, now: datetime, by: User) -> None:
    """Make two schedules, pause one customer, and take the steps that are due. Safe to repeat."""
    if not ReminderSchedule.objects.exists():
        _make_schedules(now=now, by=by)
    today = company_day(now)
    for planned in plan_reminders(today):
        take_step(planned.invoice, today=today, now=now)


def _make_schedules(*, now: datetime, by: User) -> None:
    unpaid = Invoice.objects.to_pay().filter(customer__metadata__has_key=MADE_ON)
    starts_on = unpaid.aggregate(first=Min(local_day("issued_at")))["first"] or company_day(now)
    standard = ScheduleTerms(is_default=True, starts_on=starts_on, steps=_with_interest())
    save_schedule(ReminderSchedule(name="Standard"), standard, by=by)
    gentle = ReminderSchedule(name="Key accounts")
    save_schedule(gentle, ScheduleTerms(starts_on=starts_on, steps=GENTLE_STEPS), by=by)
    customers = {customer.external_id: customer for customer in Customer.objects.filter(metadata__has_key=MADE_ON)}
    if MIRAI in customers:
        assign_schedule(customers[MIRAI], gentle, by=by)
    for external_id, kind, reason in (
        (PALISADE, PauseKind.PROMISE, "Jo in accounts pays the other half by the end of the week"),
        (TINTA, PauseKind.DISPUTE, "The customer says that the seats of a former colleague were charged"),
    ):
        invoice = unpaid.filter(customer=customers.get(external_id)).order_by("pk").first()
        if invoice is not None:
            promised_on = company_day(now) + PROMISED_AFTER if kind == PauseKind.PROMISE else None
            pause_reminders(
                invoice.customer, invoice=invoice, kind=kind, reason=reason, promised_on=promised_on, now=now, by=by
            )


def _with_interest() -> list[dict[str, Any]]:
    """Return the usual steps; after 14 days with interest, after 30 days with a pause of the subscription."""
    more: dict[int, dict[str, Any]] = {14: {"interest_percent": Decimal(9)}, 30: {"pauses_subscription": True}}
    return [{**step, **more.get(step["days"], {})} for step in STANDARD_STEPS]
