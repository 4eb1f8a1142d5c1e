"""The step of a day: the latest that was reached, never one that was taken, never one from before."""

from dataclasses import dataclass
from datetime import date

import pytest

from billing.reminders.cadence import InvoiceDays, find_due_step


@dataclass(frozen=True)
class Step:
    days: int


STEPS = [Step(-3), Step(0), Step(7), Step(14), Step(30)]


@pytest.mark.parametrize(
    ("today", "taken", "step"),
    [
        (date(2026, 2, 25), None, None),
        (date(2026, 2, 26), None, -3),
        (date(2026, 2, 27), -3, None),
        (date(2026, 3, 1), -3, 0),
        (date(2026, 3, 7), 0, None),
        (date(2026, 3, 8), 0, 7),
        (date(2026, 3, 14), 7, None),
        (date(2026, 3, 15), 7, 14),
        (date(2026, 3, 20), 0, 14),
        (date(2026, 3, 31), 14, 30),
        (date(2027, 3, 31), 0, 30),
        (date(2027, 3, 31), 30, None),
    ],
)
def test_the_latest_step_is_taken_once(today, taken, step):
    invoice = InvoiceDays(issued_on=date(2026, 2, 1), due_on=date(2026, 3, 1), taken=taken)
    found = find_due_step(STEPS, invoice, starts_on=date(2026, 1, 1), today=today)
    assert (found and found.days) == step


def test_steps_before_the_schedule_begins_are_never_taken():
    invoice = InvoiceDays(issued_on=date(2026, 2, 1), due_on=date(2026, 3, 1))
    today = date(2026, 3, 16)
    assert find_due_step(STEPS, invoice, starts_on=date(2026, 3, 16), today=today) is None
    assert find_due_step(STEPS, invoice, starts_on=date(2026, 3, 15), today=today) == Step(14)


def test_an_invoice_due_at_once_is_not_reminded_of_on_the_day_of_issue():
    invoice = InvoiceDays(issued_on=date(2026, 3, 1), due_on=date(2026, 3, 1))
    assert find_due_step(STEPS, invoice, starts_on=date(2026, 1, 1), today=date(2026, 3, 1)) is None
    assert find_due_step(STEPS, invoice, starts_on=date(2026, 1, 1), today=date(2026, 3, 8)) == Step(7)
