"""Every schedule against its plan: when it ran, when it should have, and whether it fails."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from cron_descriptor import FormatException, MissingFieldException, Options, WrongArgumentException, get_description
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from config.alarms.pace import paced
from config.installation.schedules import DEFAULTS, Schedule, is_needed
from config.monitoring.models import TaskRecord

LATE_AFTER_INTERVAL = paced(seconds=90)
LATE_AFTER_TIME = paced(seconds=300)
FAILING_AFTER = paced(seconds=60)


@dataclass(frozen=True, slots=True)
class ScheduleStatus:
    """A schedule, the record of its task if it ever ran, and when it was due last or is due next."""

    schedule: PeriodicTask
    record: TaskRecord | None
    due_at: datetime | None
    is_missed: bool
    is_failing: bool

    @property
    def is_needed(self) -> bool:
        return is_needed(self.schedule)

    @property
    def plan(self) -> str:
        return describe_plan(self.schedule)


def describe_plan(schedule: PeriodicTask) -> str:
    """Say when a schedule runs: “Every 15 seconds”, “At 03:40 UTC”."""
    if schedule.crontab:
        return describe_crontab(schedule.crontab)
    text = str(schedule.interval or schedule.clocked or schedule.solar or "never")
    return text[:1].upper() + text[1:]


def describe_crontab(crontab: CrontabSchedule) -> str:
    """Say when times of the day, week or month are, with their time zone. Cron's own text if it can't be said."""
    expression = " ".join(
        str(part).replace(" ", "")
        for part in (crontab.minute, crontab.hour, crontab.day_of_month, crontab.month_of_year, crontab.day_of_week)
    )
    options = Options()
    options.use_24hour_time_format = True
    with suppress(MissingFieldException, FormatException, WrongArgumentException):
        expression = get_description(expression, options)
    return f"{expression} {crontab.timezone}"


def read_schedules(*, now: datetime) -> list[ScheduleStatus]:
    """Return the status of each schedule by name. Two queries."""
    records = TaskRecord.objects.in_bulk()
    schedules = PeriodicTask.objects.select_related("interval", "crontab", "clocked", "solar").order_by("name")
    return [_status(schedule, records.get(schedule.task), now) for schedule in schedules]


def find_stopped(statuses: Sequence[ScheduleStatus]) -> list[Schedule]:
    """Return the schedules that the product needs but that are disabled or were deleted."""
    running = {status.schedule.task for status in statuses if status.schedule.enabled}
    return [schedule for schedule in DEFAULTS if schedule.task not in running]


def _status(schedule: PeriodicTask, record: TaskRecord | None, now: datetime) -> ScheduleStatus:
    due_at = next_due(schedule, record) if schedule.enabled else None
    tolerance = LATE_AFTER_INTERVAL if schedule.interval else LATE_AFTER_TIME
    is_failing = bool(
        schedule.enabled
        and record
        and record.failing_since
        and (schedule.interval is None or now - record.failing_since >= FAILING_AFTER)
    )
    is_missed = due_at is not None and now > due_at + tolerance
    return ScheduleStatus(schedule, record, due_at, is_missed, is_failing)


def next_due(schedule: PeriodicTask, record: TaskRecord | None) -> datetime | None:
    """Return when the schedule is due after its last start or, before the first, after it was saved or switched on.

    It is None for schedules that run once or by the sun. Beat empties `last_run_at` of a schedule that is switched off.
    """
    if schedule.last_run_at is None:
        since = max(schedule.date_changed, record.started_at) if record else schedule.date_changed
    else:
        since = record.started_at if record else schedule.last_run_at
    if schedule.interval:
        next_at: datetime = since + schedule.interval.schedule.run_every
        return next_at
    if schedule.crontab:
        start, delta, _ = schedule.crontab.schedule.remaining_delta(since)
        due: datetime = start + delta
        return due
    return None
