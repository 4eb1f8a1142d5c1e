"""Where billing periods start and end."""

from datetime import UTC, datetime

import pytest

from customers.periods import (
    Alignment,
    Interval,
    NoSuchPeriod,
    Period,
    Schedule,
    local_date,
    period_containing,
    periods_between,
    windows,
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def edges(period: Period) -> tuple[str, str]:
    return period.start.strftime("%Y-%m-%d %H:%M"), period.end.strftime("%Y-%m-%d %H:%M")


MONTHLY = Interval("month")


@pytest.mark.parametrize(
    ("at", "start", "end"),
    [
        ("2023-02-27T23:59:59", "2023-01-31 00:00", "2023-02-28 00:00"),
        ("2023-02-28", "2023-02-28 00:00", "2023-03-31 00:00"),
        ("2024-02-29", "2024-02-29 00:00", "2024-03-31 00:00"),
        ("2023-04-29", "2023-03-31 00:00", "2023-04-30 00:00"),
        ("2022-12-31", "2022-12-31 00:00", "2023-01-31 00:00"),
    ],
)
def test_a_month_end_anchor_is_moved_to_the_end_of_shorter_months_only(at, start, end):
    schedule = Schedule(MONTHLY, utc("2023-01-31"))
    assert edges(period_containing(schedule, utc(at))) == (start, end)


@pytest.mark.parametrize(
    ("interval", "start", "end"),
    [
        (Interval("day"), "2024-05-17 06:00", "2024-05-18 06:00"),
        (Interval("day", 10), "2024-05-10 06:00", "2024-05-20 06:00"),
        (Interval("week"), "2024-05-13 06:00", "2024-05-20 06:00"),
        (Interval("month"), "2024-05-01 06:00", "2024-06-01 06:00"),
        (Interval("month", 2), "2024-05-01 06:00", "2024-07-01 06:00"),
        (Interval("quarter"), "2024-04-01 06:00", "2024-07-01 06:00"),
        (Interval("half_year"), "2024-01-01 06:00", "2024-07-01 06:00"),
        (Interval("year"), "2024-01-01 06:00", "2025-01-01 06:00"),
        (Interval("year", 2), "2024-01-01 06:00", "2026-01-01 06:00"),
    ],
)
def test_every_interval_is_counted_from_the_anchor_at_the_anchors_clock_time(interval, start, end):
    schedule = Schedule(interval, utc("2024-01-01T06:00"))
    assert edges(period_containing(schedule, utc("2024-05-18T05:59"))) == (start, end)


@pytest.mark.parametrize(
    ("interval", "start", "end"),
    [
        (Interval("day"), "2024-05-15 00:00", "2024-05-16 00:00"),
        (Interval("week"), "2024-05-13 00:00", "2024-05-20 00:00"),
        (Interval("month"), "2024-05-01 00:00", "2024-06-01 00:00"),
        (Interval("quarter"), "2024-04-01 00:00", "2024-07-01 00:00"),
        (Interval("half_year"), "2024-01-01 00:00", "2024-07-01 00:00"),
        (Interval("year"), "2024-01-01 00:00", "2025-01-01 00:00"),
        (Interval("month", 2), "2024-04-01 00:00", "2024-06-01 00:00"),
        (Interval("week", 2), "2024-05-06 00:00", "2024-05-20 00:00"),
    ],
)
def test_calendar_periods_start_at_midnight_of_the_calendar_unit(interval, start, end):
    schedule = Schedule(interval, utc("2024-02-14T15:00"), alignment=Alignment.CALENDAR)
    assert edges(period_containing(schedule, utc("2024-05-15T12:00"))) == (start, end)


def test_a_leap_day_anchor_returns_to_the_leap_day():
    schedule = Schedule(Interval("year"), utc("2024-02-29"))
    assert [schedule.boundary(n).strftime("%Y-%m-%d") for n in range(5)] == [
        "2024-02-29",
        "2025-02-28",
        "2026-02-28",
        "2027-02-28",
        "2028-02-29",
    ]


def test_periods_follow_the_customers_clock_across_daylight_saving():
    schedule = Schedule(MONTHLY, utc("2024-02-01T05:00"), "America/New_York")
    assert edges(period_containing(schedule, utc("2024-03-20"))) == ("2024-03-01 05:00", "2024-04-01 04:00")


@pytest.mark.parametrize(
    ("anchor", "at", "start"),
    [
        # 02:30 doesn't exist in New York on 10 March 2024, so the time is an hour later, 03:30 in summer time.
        ("2024-03-09T07:30", "2024-03-10T12:00", "2024-03-10 07:30"),
        # 01:30 exists twice on 3 November 2024. The first, still in summer time, is used.
        ("2024-11-02T05:30", "2024-11-03T12:00", "2024-11-03 05:30"),
    ],
)
def test_a_skipped_local_time_moves_forward_and_of_a_repeated_time_the_first_is_used(anchor, at, start):
    schedule = Schedule(Interval("day"), utc(anchor), "America/New_York")
    assert edges(period_containing(schedule, utc(at)))[0] == start


def test_a_day_that_a_time_zone_skips_has_no_period():
    # Samoa went from 29 to 31 December 2011.
    schedule = Schedule(Interval("day"), utc("2011-12-28T10:00"), "Pacific/Apia")
    periods = periods_between(schedule, utc("2011-12-29T10:00"), utc("2012-01-01T10:00"))
    assert [edges(period) for period in periods] == [
        ("2011-12-29 10:00", "2011-12-30 10:00"),
        ("2011-12-30 10:00", "2011-12-31 10:00"),
        ("2011-12-31 10:00", "2012-01-01 10:00"),
    ]


def test_the_first_period_ends_at_the_anchor_day():
    schedule = Schedule(MONTHLY, utc("2024-02-15"))
    start = utc("2024-01-20")
    assert edges(period_containing(schedule, start, started_at=start)) == ("2024-01-20 00:00", "2024-02-15 00:00")


def test_a_moment_before_the_start_gets_the_first_period_and_a_moment_after_the_end_the_last():
    schedule = Schedule(MONTHLY, utc("2024-01-01"))
    start, end = utc("2024-02-10"), utc("2024-04-10")
    first = period_containing(schedule, utc("2023-06-01"), started_at=start, ended_at=end)
    last = period_containing(schedule, utc("2024-09-01"), started_at=start, ended_at=end)
    assert edges(first) == ("2024-02-10 00:00", "2024-03-01 00:00")
    assert edges(last) == ("2024-04-01 00:00", "2024-04-10 00:00")


def test_an_end_on_a_boundary_leaves_no_empty_period():
    schedule = Schedule(MONTHLY, utc("2024-01-01"))
    last = period_containing(schedule, utc("2024-03-01"), ended_at=utc("2024-03-01"))
    assert edges(last) == ("2024-02-01 00:00", "2024-03-01 00:00")


def test_offsets_lead_to_neighboring_periods_but_not_before_the_start():
    schedule = Schedule(MONTHLY, utc("2024-01-31"))
    at = utc("2024-03-01")
    assert edges(period_containing(schedule, at, offset=-1)) == ("2024-01-31 00:00", "2024-02-29 00:00")
    assert edges(period_containing(schedule, at, offset=1)) == ("2024-03-31 00:00", "2024-04-30 00:00")
    with pytest.raises(NoSuchPeriod):
        period_containing(schedule, at, offset=-1, started_at=utc("2024-02-29"))


def test_a_century_of_days_stays_in_step_with_the_calendar():
    schedule = Schedule(Interval("day"), utc("1950-06-01T08:00"), "Europe/Berlin")
    assert edges(period_containing(schedule, utc("2050-06-01T12:00"))) == ("2050-06-01 07:00", "2050-06-02 07:00")


def test_listed_periods_are_cut_off_at_both_ends():
    schedule = Schedule(MONTHLY, utc("2024-01-01"))
    periods = periods_between(schedule, utc("2024-01-15"), utc("2024-03-05"))
    assert [edges(period) for period in periods] == [
        ("2024-01-15 00:00", "2024-02-01 00:00"),
        ("2024-02-01 00:00", "2024-03-01 00:00"),
        ("2024-03-01 00:00", "2024-03-05 00:00"),
    ]


def test_an_empty_span_has_no_periods():
    assert periods_between(Schedule(MONTHLY, utc("2024-01-01")), utc("2024-01-15"), utc("2024-01-15")) == []


def test_days_on_which_the_clock_changes_last_23_and_25_hours():
    spring = windows(Period(utc("2024-03-30T23:00"), utc("2024-04-01T22:00")), "day", "Europe/Berlin")
    autumn = windows(Period(utc("2024-10-26T22:00"), utc("2024-10-28T23:00")), "day", "Europe/Berlin")
    assert [(day.end - day.start).total_seconds() / 3600 for day in spring] == [23, 24]
    assert [(day.end - day.start).total_seconds() / 3600 for day in autumn] == [25, 24]


def test_report_windows_are_cut_off_at_the_periods_ends():
    period = Period(utc("2024-01-15T10:30"), utc("2024-03-04T00:00"))
    assert [edges(window) for window in windows(period, "month")] == [
        ("2024-01-15 10:30", "2024-02-01 00:00"),
        ("2024-02-01 00:00", "2024-03-01 00:00"),
        ("2024-03-01 00:00", "2024-03-04 00:00"),
    ]
    assert len(windows(period, "week")) == 7
    assert len(windows(period, "day")) == 49


def test_hour_windows_follow_the_zones_own_hours():
    # Kolkata's offset has half an hour, so its hours start at half past in UTC.
    period = Period(utc("2024-01-01T00:00"), utc("2024-01-01T02:00"))
    assert [edges(window) for window in windows(period, "hour", "Asia/Kolkata")] == [
        ("2024-01-01 00:00", "2024-01-01 00:30"),
        ("2024-01-01 00:30", "2024-01-01 01:30"),
        ("2024-01-01 01:30", "2024-01-01 02:00"),
    ]


def test_a_period_includes_its_start_and_excludes_its_end():
    period = Period(utc("2024-01-01"), utc("2024-02-01"))
    assert period.contains(period.start)
    assert not period.contains(period.end)
    assert not period.overlaps(Period(period.end, utc("2024-03-01")))
    assert period.overlaps(Period(utc("2024-01-31"), utc("2024-03-01")))


def test_the_local_date_depends_on_the_time_zone():
    assert str(local_date(utc("2024-03-01T02:00"), "America/New_York")) == "2024-02-29"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Interval("month", 0),
        lambda: Interval("fortnight"),
        lambda: Schedule(MONTHLY, datetime(2024, 1, 1)),  # noqa: DTZ001 - the test needs a datetime without a zone
        lambda: Schedule(MONTHLY, utc("2024-01-01"), alignment="lunar"),
        lambda: period_containing(Schedule(MONTHLY, utc("2024-01-01")), datetime(2024, 1, 1)),  # noqa: DTZ001
    ],
)
def test_invalid_intervals_and_schedules_are_refused(make):
    with pytest.raises(ValueError, match=r".+"):
        make()
