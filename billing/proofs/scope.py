"""Which rows a run of proofs covers: all of the open months, and a part of the older ones that moves on every night."""

from datetime import datetime, timedelta
from functools import reduce
from operator import or_

from django.db.models import Q, QuerySet

from billing.kinds import ProofKind, ProofSubject
from billing.models import Invoice, InvoiceLine, InvoiceState, MonthClosing, ProofDifference, ProofRun
from billing.month_end.months import Month
from customers.periods import Period

NIGHTS = 30  # after which every older row was covered
SUBJECTS = (ProofSubject.INVOICE, ProofSubject.LINE)
MOST_OPEN = 3  # months; older ones are sampled even if no one has closed them


def open_months(at: datetime) -> list[Month]:
    """List the months up to a moment that aren't closed, newest first, at most three.

    In August, of which nothing is closed: August, July and June. Once June is closed: August and July.
    """
    months = [Month(at.date().replace(day=1))]
    while len(months) < MOST_OPEN:
        months.append(months[-1].previous)
    closed = set(MonthClosing.objects.filter(reopened_at=None).values_list("month", flat=True))
    return [month for month in months if month.first not in closed]


def night_of(run: ProofRun) -> int:
    """Return the number of a run's night, which decides the part of the older rows that it covers."""
    return run.started_at.toordinal() % NIGHTS


def invoices_of(run: ProofRun) -> QuerySet[Invoice]:
    """Return the invoices that a run covers. Void invoices charge nothing and are left out."""
    invoices = Invoice.objects.exclude(state=InvoiceState.VOID).order_by("pk")
    if run.invoice_id is not None:
        return invoices.filter(pk=run.invoice_id)
    if run.customer_id is not None:
        return invoices.filter(customer=run.customer_id)
    if run.month is not None:
        return invoices.filter(_in_month(Month(run.month)))
    recent = reduce(or_, [_in_month(month) for month in open_months(run.started_at)], Q(state=InvoiceState.DRAFT))
    recent |= Q(pk__in=_differing_before(run))
    sample = Invoice.objects.extra(where=["billing_invoice.id %% %s = %s"], params=[NIGHTS, night_of(run)])
    return invoices.filter(recent | Q(pk__in=sample.values("pk")))


def _differing_before(run: ProofRun) -> list[int]:
    """List the invoices that differed in the last night: they are covered until they don't."""
    nights = ProofRun.objects.filter(is_nightly=True, finished_at__isnull=False, started_at__lt=run.started_at)
    last = nights.order_by("-started_at").first()
    found = ProofDifference.objects.filter(result__run=last, result__kind=ProofKind.LINES)
    keys = {subject: set(found.filter(subject=subject).values_list("subject_id", flat=True)) for subject in SUBJECTS}
    lines = InvoiceLine.objects.filter(pk__in=keys[ProofSubject.LINE])
    return [*keys[ProofSubject.INVOICE], *lines.values_list("invoice_id", flat=True)]


def _in_month(month: Month) -> Q:
    """Filter to invoices of a month: finalized in it, or for a period that ended in it."""
    start, end = month.period.start, month.period.end
    return Q(finalized_at__gte=start, finalized_at__lt=end) | Q(period_end__gt=start, period_end__lte=end)


def days_of(run: ProofRun, first: datetime) -> list[Period]:
    """List the UTC days whose usage a run counts again, from the first day with usage on."""
    if run.month is not None:
        return _days(Month(run.month).period)
    months = open_months(run.started_at)
    since = min((month.period.start for month in months), default=run.started_at)
    end = run.started_at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    older = [day for day in _days(Period(first, since)) if day.start.toordinal() % NIGHTS == night_of(run)]
    return older + _days(Period(max(first, since), end))


def _days(period: Period) -> list[Period]:
    day = period.start.replace(hour=0, minute=0, second=0, microsecond=0)
    days = []
    while day < period.end:
        days.append(Period(day, day + timedelta(days=1)))
        day += timedelta(days=1)
    return days


def describe_months(run: ProofRun) -> str:
    """Describe the open months and the sample of a nightly run."""
    names = [f"{month.first:%B %Y}" for month in reversed(open_months(run.started_at))]
    sample = f"part {night_of(run) + 1} of {NIGHTS} of everything older"
    return f"{', '.join(names)}; {sample}" if names else sample
