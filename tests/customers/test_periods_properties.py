"""Periods cover time without gaps for every interval, anchor and time zone."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from customers.periods import Alignment, Interval, Period, Schedule, period_containing, periods_between, windows

ZONES = st.sampled_from(
    ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Pacific/Apia", "Australia/Lord_Howe", "Africa/Cairo"]
)
EPOCH = datetime(1990, 1, 1, tzinfo=UTC)
MOMENTS = st.timedeltas(timedelta(0), timedelta(days=25_000)).map(lambda since: EPOCH + since)
UNITS = st.sampled_from(["day", "week", "month", "quarter", "half_year", "year"])
SCHEDULES = st.builds(
    Schedule,
    st.builds(Interval, UNITS, st.integers(1, 13)),
    MOMENTS,
    ZONES,
    st.sampled_from(Alignment),
)


@given(SCHEDULES, MOMENTS)
def test_a_moment_lies_in_its_period(schedule, at):
    assert period_containing(schedule, at).contains(at)


@given(SCHEDULES, MOMENTS)
def test_periods_are_adjacent(schedule, at):
    period = period_containing(schedule, at)
    assert period_containing(schedule, period.end).start == period.end
    assert period_containing(schedule, period.start - timedelta.resolution).end == period.start


@given(SCHEDULES, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=400)))
def test_every_moment_of_a_period_gets_that_period(schedule, at, later):
    period = period_containing(schedule, at)
    inside = min(at + later, period.end - timedelta.resolution)
    assert period_containing(schedule, inside) == period


@given(SCHEDULES, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=400)))
def test_listed_periods_cover_the_span_without_gaps(schedule, start, length):
    end = start + length
    periods = periods_between(schedule, start, end)
    starts = [period.start for period in periods]
    ends = [period.end for period in periods]
    assert starts == ([start, *ends[:-1]] if periods else [])
    assert not periods or ends[-1] == end
    assert all(period.start < period.end for period in periods)


@given(MOMENTS, st.timedeltas(timedelta(0), timedelta(days=3)), ZONES, st.sampled_from(["hour", "day", "week"]))
def test_windows_cover_a_period_without_gaps(start, length, zone, unit):
    parts = windows(Period(start, start + length), unit, zone)
    assert sum((window.end - window.start for window in parts), timedelta(0)) == length
    assert all(before.end == after.start for before, after in pairwise(parts))
