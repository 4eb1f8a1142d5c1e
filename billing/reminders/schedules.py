"""Schedules of reminders: the usual steps, saving, and which customer has which schedule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from billing.models import (
    ReminderAssignment,
    ReminderAttachment,
    ReminderEmail,
    ReminderMinimum,
    ReminderSchedule,
    ReminderStep,
    TaxRate,
)
from billing.refusals import CannotChange
from config.audit import recorded
from customers.models import Customer

STANDARD_STEPS: tuple[dict[str, Any], ...] = (
    {"days": -3, "email": ReminderEmail.DUE_SOON},
    {"days": 0, "email": ReminderEmail.DUE_SOON},
    {"days": 7, "email": ReminderEmail.REMINDER},
    {"days": 14, "email": ReminderEmail.REMINDER, "attachment": ReminderAttachment.STATEMENT},
    {
        "days": 30,
        "email": ReminderEmail.FINAL_NOTICE,
        "attachment": ReminderAttachment.STATEMENT,
        "needs_person": True,
    },
)


@dataclass(frozen=True, slots=True)
class ScheduleTerms:
    """A schedule without its name. `steps` are the values of each step."""

    is_default: bool = False
    starts_on: date | None = None
    fee_tax: TaxRate | None = None
    steps: Sequence[Mapping[str, Any]] = STANDARD_STEPS
    minimums: Mapping[str, Decimal] = field(default_factory=dict)


def save_schedule(schedule: ReminderSchedule, terms: ScheduleTerms, *, by: User | None) -> ReminderSchedule:
    """Save a schedule with its steps and minimums, which replace those that it has.

    A default replaces the earlier default. Steps that were taken stay as they are. Raises `ValidationError`.
    """
    with transaction.atomic(), recorded(by=by):
        if terms.is_default:
            _end_earlier_default(schedule)
        schedule.is_default, schedule.starts_on, schedule.fee_tax = terms.is_default, terms.starts_on, terms.fee_tax
        schedule.full_clean()
        schedule.save()
        _replace_steps(schedule, terms.steps)
        _replace_minimums(schedule, terms.minimums)
    return schedule


def make_default(schedule: ReminderSchedule, *, by: User | None) -> None:
    """Make a schedule the default instead of the earlier one. Safe to repeat."""
    with transaction.atomic(), recorded(by=by):
        _end_earlier_default(schedule)
        schedule.is_default = True
        schedule.save(update_fields=["is_default", "updated_at"])


def _end_earlier_default(schedule: ReminderSchedule) -> None:
    for earlier in ReminderSchedule.objects.select_for_update().filter(is_default=True).exclude(pk=schedule.pk):
        earlier.is_default = False
        earlier.save(update_fields=["is_default", "updated_at"])


def add_standard_steps(schedule: ReminderSchedule, *, by: User | None) -> None:
    """Give a new schedule the usual steps: 3 days before, on the due date, 7, 14 and 30 days after it."""
    with transaction.atomic(), recorded(by=by):
        _replace_steps(schedule, STANDARD_STEPS)


def _replace_steps(schedule: ReminderSchedule, steps: Sequence[Mapping[str, Any]]) -> None:
    saved = {step.days: step for step in schedule.steps.all()}
    for values in steps:
        step = saved.pop(values["days"], None) or ReminderStep(schedule=schedule)
        for name in ("email", "fee_currency"):
            setattr(step, name, values.get(name, ""))
        for name in ("fee_amount", "interest_percent"):
            setattr(step, name, values.get(name))
        for name in ("needs_person", "pauses_subscription"):
            setattr(step, name, values.get(name, False))
        step.days = values["days"]
        step.attachment = values.get("attachment", ReminderAttachment.INVOICE)
        step.full_clean()
        step.save()
    for step in saved.values():
        step.delete()


def _replace_minimums(schedule: ReminderSchedule, minimums: Mapping[str, Decimal]) -> None:
    saved = {minimum.currency: minimum for minimum in schedule.minimums.all()}
    for currency, amount in minimums.items():
        minimum = saved.pop(currency, None) or ReminderMinimum(schedule=schedule, currency=currency)
        minimum.amount = amount
        minimum.full_clean()
        minimum.save()
    for minimum in saved.values():
        minimum.delete()


def delete_schedule(schedule: ReminderSchedule, *, by: User | None) -> None:
    """Delete a schedule. Reminders that were sent stay. Raises `CannotChange` while customers have it."""
    count = schedule.assignments.count()
    if count:
        have = "customer has" if count == 1 else "customers have"
        raise CannotChange(f"{count:,} {have} this schedule. Choose another one for them first.")
    with transaction.atomic(), recorded(by=by):
        schedule.delete()


def schedule_of(customer: Customer) -> ReminderSchedule | None:
    """Return the customer's own schedule, or else the default."""
    assignment = ReminderAssignment.objects.select_related("schedule").filter(customer=customer).first()
    return assignment.schedule if assignment else ReminderSchedule.objects.filter(is_default=True).first()


def assign_schedule(customer: Customer, schedule: ReminderSchedule | None, *, by: User | None) -> None:
    """Give a customer a schedule of its own, or with `None` the default. Safe to repeat."""
    with transaction.atomic(), recorded(by=by):
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        assignment = ReminderAssignment.objects.filter(customer=customer).first()
        if schedule is None:
            if assignment is not None:
                assignment.delete()
            return
        if assignment is None:
            assignment = ReminderAssignment(customer=customer)
        elif assignment.schedule_id == schedule.pk:
            return
        assignment.schedule = schedule
        assignment.save()
