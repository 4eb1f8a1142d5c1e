"""Which step of a schedule is due for an invoice on a day. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol


class HasDays(Protocol):
    """A step, by its number of days after the due date."""

    @property
    def days(self) -> int: ...


@dataclass(frozen=True, slots=True)
class InvoiceDays:
    """The days of an invoice, by which its reminders are counted. `taken` is the step that was taken last, in days."""

    issued_on: date
    due_on: date
    taken: int | None = None


def find_due_step[Step: HasDays](
    steps: Iterable[Step], invoice: InvoiceDays, *, starts_on: date, today: date
) -> Step | None:
    """Return the step to take today, or `None`.

    If several days were missed, only the latest step is taken. Steps before the schedule starts are never taken, and
    neither are those on the day of issue or before: the invoice itself has just been sent.

    Steps after 7, 14 and 30 days, due on 1 March, 7 taken:

    | today    | step |
    | 14 March | none: 14 days are over on 15 March |
    | 15 March | 14 |
    | 2 April  | 30, also if 14 was missed |
    """
    earliest = max(starts_on, invoice.issued_on + timedelta(days=1))
    reached = [step for step in steps if earliest <= invoice.due_on + timedelta(days=step.days) <= today]
    latest = max(reached, key=lambda step: step.days, default=None)
    if latest is None or (invoice.taken is not None and latest.days <= invoice.taken):
        return None
    return latest
