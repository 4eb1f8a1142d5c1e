"""Tasks to do before a month is closed, each with its count, amounts, and a link to the list that is counted."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, QuerySet, Sum

from billing.models import BillingState, CreditNote, CreditNoteState, Invoice, InvoiceState, LateAdjustment, Payment
from billing.models.invoices import REMAINING
from billing.models.late import OPEN_STATES
from billing.month_end.months import Month
from billing.runs.dry_run import latest_settled
from config.office.links import admin_url
from events.models import Problem
from events.models.problems import ProblemState

MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Task:
    """A task. `money` is (currency, amount); `url` opens the list that is counted, if there is one.

    `money_url` loads the amounts separately if calculating them takes a while.
    """

    name: str
    count: int
    money: list[tuple[str, Decimal]]
    url: str
    hint: str
    money_url: str = ""

    @property
    def is_done(self) -> bool:
        return self.count == 0

    @property
    def shown(self) -> str:
        return f"{MOST_COUNTED:,}+" if self.count > MOST_COUNTED else f"{self.count:,}"


def checklist(month: Month, *, now: datetime) -> list[Task]:
    """List the current tasks; drafts are of periods that end by the month's end. A few queries for each task."""
    end = month.period.end
    drafts = Invoice.objects.filter(state=InvoiceState.DRAFT, period_end__lte=end)
    until = {"period_end_to_0": f"{end:%Y-%m-%d}", "period_end_to_1": f"{end:%H:%M:%S}"}
    drafts_url = admin_url("billing_invoice_changelist", status="draft", **until)
    late = LateAdjustment.objects.filter(state__in=OPEN_STATES)
    notes = CreditNote.objects.filter(state=CreditNoteState.DRAFT)
    overdue = Invoice.objects.overdue(now)
    return [
        _task("Drafts to finalize", drafts, F("total"), drafts_url, "Their revenue isn't in the month yet."),
        _parked(),
        _problems(),
        _task(
            "Late usage to settle",
            late,
            F("amount"),
            admin_url("billing_lateadjustment_changelist"),
            "Usage that arrived after its period was invoiced.",
        ),
        _task(
            "Draft credit notes",
            notes,
            F("total"),
            admin_url("billing_creditnote_changelist"),
            "They don't reduce any balance until they are finalized.",
        ),
        _task(
            "Unapplied payments",
            Payment.objects.with_money_left(),
            F("unapplied"),
            admin_url("billing_payment_changelist", unapplied="yes"),
            "Received, but neither applied to an invoice, refunded, nor added to prepaid credit.",
        ),
        _task(
            "Overdue invoices",
            overdue,
            REMAINING,
            admin_url("billing_invoice_changelist", payment="overdue"),
            "Finalized, and past their due date.",
        ),
    ]


def _task(name: str, rows: QuerySet[Any], amount: Any, url: str, hint: str) -> Task:
    sums: Iterable[tuple[str, int, Decimal]] = (
        rows.order_by().values_list("currency").annotate(rows=Count("pk"), money=Sum(amount))
    )
    totals = sorted(sums)
    money = [(currency, total) for currency, _, total in totals]
    return Task(name, sum(count for _, count, _ in totals), money, url, hint)


def _parked() -> Task:
    """Count parked subscriptions, with the totals of their latest invoices: the due amounts aren't known."""
    parked = BillingState.objects.filter(parked_at__isnull=False)
    before = latest_settled(Invoice.objects.filter(subscription__billing__parked_at__isnull=False))
    sums = Invoice.objects.filter(pk__in=before.values("pk")).order_by().values_list("currency")
    money = sorted(sums.annotate(money=Sum("total")))
    url = admin_url("billing_billingstate_changelist", parked="yes")
    hint = "Fix the reason shown, then bill again. The amounts are the totals of the periods before."
    return Task("Subscriptions that can't be billed", _count(parked), money, url, hint)


def _problems() -> Task:
    count = _count(Problem.objects.filter(state=ProblemState.OPEN))
    url, money_url = admin_url("events_problem_causes"), admin_url("billing_month_end_at_risk") if count else ""
    hint = "The amounts are what fixing each of the largest causes would add."
    return Task("Open problems of events", count, [], url, hint, money_url)


def _count(rows: QuerySet[Any]) -> int:
    return rows.order_by()[: MOST_COUNTED + 1].count()
