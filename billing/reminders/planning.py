"""Which reminders are due on a day: today's run and the preview of tomorrow use the same query."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from billing.models import CompanyProfile, Invoice, Reminder, ReminderPause, ReminderSchedule, ReminderStep
from billing.models.invoices import REMAINING, local_day
from billing.reminders.cadence import InvoiceDays, find_due_step
from customers.periods import local_date

BATCH = 500


@dataclass(frozen=True, slots=True)
class PlannedReminder:
    """A step that is due for an invoice. `amount` is what is left to pay."""

    invoice: Invoice
    schedule: ReminderSchedule
    step: ReminderStep
    due_on: date
    amount: Decimal


def company_day(now: datetime) -> date:
    """Return the day in the company's time zone, by which steps are counted."""
    return local_date(now, CompanyProfile.current().timezone)


def plan_reminders(today: date, *, only: Invoice | None = None) -> Iterator[PlannedReminder]:
    """Yield the reminders that are due on a day, as things are now, in the order of the invoices' keys.

    A joint invoice is reminded of once, by its first section that isn't paid, with what is left to pay on all of them.
    Not those of invoices that are paid, below the schedule's minimum or paused, or of erased customers. One query for
    500 invoices.
    """
    schedules = {
        schedule.pk: schedule
        for schedule in ReminderSchedule.objects.filter(starts_on__lte=today)
        .select_related("fee_tax")
        .prefetch_related("steps", "minimums")
    }
    if not schedules:
        return
    default = next((key for key, schedule in schedules.items() if schedule.is_default), None)
    invoices = _select_invoices(schedules, default, today)
    if only is not None:
        invoices = invoices.filter(pk=only.pk)
    batch = list(invoices[:BATCH])
    yield from _plan_batch(batch, schedules, today)
    while len(batch) == BATCH:
        batch = list(invoices.filter(pk__gt=batch[-1].pk)[:BATCH])
        yield from _plan_batch(batch, schedules, today)


def _select_invoices(schedules: dict[int, ReminderSchedule], default: int | None, today: date) -> QuerySet[Invoice]:
    of_document = Q(invoice=OuterRef("pk")) | Q(invoice__joint=OuterRef("joint"))
    paused = ReminderPause.objects.in_force(today).filter(of_document | Q(invoice=None), customer=OuterRef("customer"))
    taken = Reminder.objects.filter(of_document).order_by().values("invoice__customer")
    sections = Invoice.objects.to_pay().filter(joint=OuterRef("joint")).order_by()
    of_sections = Subquery(sections.values("joint").annotate(sum=Sum(REMAINING)).values("sum"))
    unpaid = Invoice.objects.to_pay().filter(due_at__isnull=False, customer__erased_at=None)
    return (
        unpaid.annotate(
            schedule_id=Coalesce(F("customer__reminder_assignment__schedule"), default),
            issue_day=local_day("issued_at"),
            due_day=local_day("due_at"),
            remaining=Coalesce(of_sections, REMAINING),
            taken=Subquery(taken.annotate(latest=Max("days")).values("latest")),
        )
        .filter(~Exists(paused), ~Exists(sections.filter(pk__lt=OuterRef("pk"))), schedule_id__in=list(schedules))
        .select_related("customer", "subscription", "joint")
        .order_by("pk")
    )


def _plan_batch(
    batch: Sequence[Invoice], schedules: dict[int, ReminderSchedule], today: date
) -> Iterator[PlannedReminder]:
    for invoice in batch:
        facts = vars(invoice)  # with the annotations
        schedule = schedules[facts["schedule_id"]]
        if is_below_minimum(schedule, facts["remaining"], invoice.currency):
            continue
        days = InvoiceDays(facts["issue_day"], facts["due_day"], facts["taken"])
        step = find_due_step(schedule.steps.all(), days, starts_on=schedule.starts_on or today, today=today)
        if step is not None:
            yield PlannedReminder(invoice, schedule, step, facts["due_day"], facts["remaining"])


def is_below_minimum(schedule: ReminderSchedule, amount: Decimal, currency: str) -> bool:
    """Return whether an amount is smaller than the schedule's minimum in the currency, if it has one."""
    minimums = {minimum.currency: minimum.amount for minimum in schedule.minimums.all()}
    return currency in minimums and amount < minimums[currency]


def plan_tomorrow(today: date, tomorrow: date) -> list[PlannedReminder]:
    """List the reminders that become due tomorrow, in addition to those that are due today and not taken yet."""
    of_today = {(planned.invoice.pk, planned.step.pk) for planned in plan_reminders(today)}
    return [planned for planned in plan_reminders(tomorrow) if (planned.invoice.pk, planned.step.pk) not in of_today]
