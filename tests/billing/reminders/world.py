"""Customers with schedules of reminders and unpaid invoices, for tests of reminders."""

from datetime import date, datetime
from typing import Any

from billing.models import Email, EmailState, Invoice, ReminderSchedule
from billing.reminders.schedules import ScheduleTerms, save_schedule
from billing.reminders.taking import take_due_steps
from customers.models import Customer
from tests.billing.invoices import make_finalized
from tests.billing.world import utc
from tests.factories import make_customer

DUE = utc(2026, 11, 1)  # of invoices issued on 1 October


def make_schedule(*steps: dict[str, Any], name: str = "Standard", **terms: Any) -> ReminderSchedule:
    """Make a default schedule that has begun, with the usual steps unless some are given."""
    values: dict[str, Any] = {"is_default": True, "starts_on": date(2026, 10, 1)} | terms
    if steps:
        values["steps"] = steps
    return save_schedule(ReminderSchedule(name=name), ScheduleTerms(**values), by=None)


def make_payer(**values: Any) -> Customer:
    return make_customer(**{"email": "anna@example.com", "name": "Anna Ltd"} | values)


def make_unpaid(*amounts: Any, **fields: Any) -> Invoice:
    """Make an invoice that was issued on 1 October 2026 and is due on 1 November."""
    return make_finalized(
        *amounts, **{"due_at": DUE, "customer": fields.pop("customer", None) or make_payer()} | fields
    )


def on(month: int, day: int, hour: int = 9) -> datetime:
    return utc(2026, month, day, hour)


def remind(month: int, day: int, hour: int = 9) -> int:
    """Run the task on a day of 2026; return how many steps it took."""
    return sum(take_due_steps(now=on(month, day, hour)))


def deliver() -> None:
    """Note that the mail server took all emails."""
    Email.objects.filter(state=EmailState.PENDING).update(state=EmailState.SENT, next_try_at=None)
