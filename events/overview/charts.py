"""The charts of events: by hour of arrival, and by the day on which they occurred."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils.timezone import localtime

from config.office.charts import Chart, ChartColor, Series
from config.office.links import admin_url
from events.links import between, occurred_between
from events.models import EventState
from events.overview.by_day import EventDays, ProblemDays
from events.overview.dashboard import Hour
from events.reasons import Reason

ENDINGS = (
    ("Counted", "counted", ChartColor.GOOD),
    ("Partly counted", "partly", ChartColor.CAUTION),
    ("Problems", "problems", ChartColor.BAD),
    ("Duplicates", "duplicates", ChartColor.QUIET),
)
LAST_OF_HOUR = timedelta(hours=1, microseconds=-1)  # the list's filter includes both ends
STATES = (
    (EventState.COUNTED, ChartColor.GOOD),
    (EventState.PARTLY, ChartColor.CAUTION),
    (EventState.PROBLEM, ChartColor.BAD),
    (EventState.VOIDED, ChartColor.QUIET),
    (EventState.DISMISSED, ChartColor.QUIET),
)
MOST_REASONS = 7


def by_hour(hours: Sequence[Hour], title: str) -> Chart:
    """Return a stacked bar per hour, in the current time zone, by how the events ended on arrival.

    Each bar leads to the batches that the hour's figures are summed from.
    """
    return Chart(
        title=title,
        heading="Hour",
        labels=[f"{localtime(hour.start):%m-%d %H:%M}" for hour in hours],
        series=[Series(label, [getattr(hour.ended, name) for hour in hours], color) for label, name, color in ENDINGS],
        unit="events",
        links=[
            admin_url(
                "events_processedbatch_changelist", **between("finished_at", hour.start, hour.start + LAST_OF_HOUR)
            )
            for hour in hours
        ],
        empty_text="No events were processed.",
    )


def events_chart(by_day: EventDays) -> Chart:
    """Return a stacked bar per day by the events' current state. Each part of a bar leads to its events."""
    return Chart(
        title=f"Events by day they occurred, last {len(by_day.days)} days (UTC)",
        heading="Day",
        labels=_day_labels(by_day.days),
        series=[
            Series(
                str(state.label), by_day.counts[state], color, links=[_events_url(day, state) for day in by_day.days]
            )
            for state, color in STATES
        ],
        unit="events",
        links=[_events_url(day) for day in by_day.days],
        empty_text="No events occurred in these days. Send one with the API, or from the Event Debugger.",
    )


def problems_chart(by_day: ProblemDays) -> Chart:
    """Return a stacked bar per day by reason. Rare reasons are added up as "Other causes".

    Each part of a bar leads to its problems.
    """
    reasons = list(by_day.counts)
    rare = reasons[MOST_REASONS:]
    series = [
        Series(str(reason.label), by_day.counts[reason], links=_problem_urls(by_day, [reason]))
        for reason in reasons[:MOST_REASONS]
    ]
    if rare:
        sums = [sum(day) for day in zip(*(by_day.counts[reason] for reason in rare), strict=True)]
        series.append(Series("Other causes", sums, ChartColor.QUIET, links=_problem_urls(by_day, rare)))
    return Chart(
        title=f"Open problems by day and cause, last {len(by_day.days)} days (UTC)",
        heading="Day",
        labels=_day_labels(by_day.days),
        series=series,
        unit="problems",
        links=_problem_urls(by_day),
        empty_text="No open problems: every event of these days was counted, voided or dismissed.",
    )


def _day_labels(days: Sequence[datetime]) -> list[str]:
    return [f"{day:%Y-%m-%d}" for day in days]


def _events_url(day: datetime, state: EventState | None = None) -> str:
    query = {"received": "all", **occurred_between(day, day + timedelta(days=1))}
    return admin_url("events_event_changelist", **query, **({"state": state.value} if state is not None else {}))


def _problem_urls(by_day: ProblemDays, reasons: Sequence[Reason] = ()) -> list[str]:
    """Return the addresses of each day's open problems, of all reasons or of these."""
    query = {"reason": ",".join(reasons)} if reasons else {}
    return [
        admin_url("events_problem_changelist", **query, **occurred_between(day, day + timedelta(days=1)))
        for day in by_day.days
    ]
