"""The latest report of a month: calculated now for few customers, else from the workers' last calculation."""

from datetime import datetime

from billing.month_end import background
from billing.month_end.customer_ranges import customer_ranges, is_one_range
from billing.month_end.months import Month
from billing.month_end.report import MonthEnd, month_end
from billing.month_end.totals import ChunkTotals, calculate_all
from billing.refusals import CannotChange


def latest_totals(month: Month, *, now: datetime) -> tuple[ChunkTotals | None, datetime]:
    """Return usage and unbilled revenue, and their time; None for many customers that aren't calculated yet."""
    if is_one_range():
        return calculate_all(month, customer_ranges(), now=now), now
    latest = next(iter(background.finished(month)), None)
    return (ChunkTotals.from_json(latest.found), latest.as_of) if latest else (None, now)


def latest_report(month: Month, *, now: datetime) -> MonthEnd:
    """Return the report. Raises `CannotChange` if there are many customers and the month isn't calculated yet."""
    totals, as_of = latest_totals(month, now=now)
    if totals is None:
        raise CannotChange(f"{month.first:%B %Y} isn't calculated yet. Calculate it on the Month end page first.")
    return month_end(month, now=now, totals=totals, as_of=as_of)
