"""The checks of what every installation has: processes, schedules, webhooks, the change log, clocks, locks, space."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.conf import settings
from django.db.models import Q
from django_celery_beat.models import PeriodicTask

from config.alarms.checks import register_check
from config.alarms.kinds import AlarmKind
from config.alarms.pace import paced
from config.alarms.raising import Finding
from config.change_log.models import ChangeLogCheck, ChangeLogCopy
from config.installation.schedules import Schedule
from config.limits import GIB
from config.monitoring.disk import EXTEND_DISK, measure_disk, write_size
from config.monitoring.heartbeats import is_silent, is_starting, last_seen
from config.monitoring.locks import describe_ending, find_holders
from config.monitoring.models import SILENT_AFTER, Heartbeat, Process
from config.monitoring.schedules import ScheduleStatus, find_stopped, read_schedules
from config.monitoring.sizes import measure_database
from config.office.links import admin_url
from config.webhooks.models import WebhookEndpoint
from config.webhooks.targets import host_of

MOST_APART_S = 60
FAILING_AFTER = paced(seconds=60)
NOT_COPIED_AFTER = paced(seconds=300)
QUOTA_USED = 0.9
MOST_NAMED = 5

SILENT = {
    Process.WEB: (AlarmKind.WEB_SILENT, "No events are accepted, and the admin is unavailable."),
    Process.WORKER: (AlarmKind.WORKER_SILENT, "Events are accepted, but not counted; nothing is billed."),
    Process.BEAT: (AlarmKind.BEAT_SILENT, "No schedule runs: nothing is billed, finalized or checked."),
}


def find_silent(now: datetime) -> Iterator[Finding]:
    """Find kinds of processes of which none is alive, unless the installation is just starting."""
    if is_starting(now=now):
        return
    for process, (kind, effect) in SILENT.items():
        if is_silent(process, now=now):
            seen_at = last_seen(process)
            state = f"has been silent since {seen_at:%H:%M:%S} UTC" if seen_at else "was never seen"
            yield Finding(
                kind,
                f"{process.label} {state}. {effect}",
                f"Start {process.value} again, and read its log to see why it stopped. With Docker: "
                f"docker compose logs --tail 50 {process.value}, then docker compose restart {process.value}.",
                url=admin_url("system"),
            )


def find_clocks(now: datetime) -> Iterator[Finding]:
    """Find machines whose clock differs from the database's by more than a minute: one finding for each."""
    alive = Heartbeat.objects.filter(seen_at__gt=now - SILENT_AFTER)
    ahead = dict(alive.order_by("seen_at").values_list("host", "clock_ahead_s"))
    for host, ahead_s in sorted(ahead.items()):
        if abs(ahead_s) > MOST_APART_S:
            yield Finding(
                AlarmKind.CLOCK_DIFFERS,
                f"The clock of {host} is {_apart(ahead_s)} the database's. No task runs there.",
                "Set both clocks right: they should follow NTP. If only this machine is wrong, restart the process "
                "after its clock is right.",
                about=host,
                url=admin_url("system"),
            )


def _apart(seconds: float) -> str:
    minutes = f"{abs(seconds) / 60:,.0f} minutes"
    return f"{minutes} ahead of" if seconds > 0 else f"{minutes} behind"


def find_schedules(now: datetime) -> Iterator[Finding]:
    """Find schedules that were missed, whose task fails, or that don't run at all."""
    statuses = read_schedules(now=now)
    yield from _find_missed(statuses, now)
    yield from map(_describe_failing, (status for status in statuses if status.is_failing))
    schedules = {status.schedule.task: status.schedule for status in statuses}
    for needed in find_stopped(statuses):
        yield _describe_stopped(needed, schedules.get(needed.task))


def _describe_stopped(needed: Schedule, schedule: PeriodicTask | None) -> Finding:
    page = "django_celery_beat_periodictask"
    if schedule:
        name, state, again = schedule.name, "is disabled", "Enable it again"
        url = admin_url(f"{page}_change", schedule.pk)
    else:
        name, state, again = needed.name, "was deleted", f"Add it again, with the task {needed.task}"
        url = admin_url(f"{page}_changelist")
    return Finding(
        AlarmKind.SCHEDULE_DISABLED,
        f"The schedule “{name}” {state}.",
        f"{again}, or acknowledge the alarm if that is on purpose. What it does: {needed.description}",
        about=needed.task,
        url=url,
    )


def _find_missed(statuses: Sequence[ScheduleStatus], now: datetime) -> Iterator[Finding]:
    """Find schedules that were missed, unless beat or the worker is silent, which is the reason then."""
    missed = [status for status in statuses if status.is_missed]
    if missed and not any(is_silent(process, now=now) for process in (Process.WORKER, Process.BEAT)):
        names = ", ".join(f"“{status.schedule.name}”" for status in missed)
        have = "schedules haven't" if len(missed) > 1 else "schedule hasn't"
        due_at = min(status.due_at for status in missed if status.due_at)
        yield Finding(
            AlarmKind.SCHEDULE_MISSED,
            f"{len(missed)} {have} run in time since {due_at:%Y-%m-%d %H:%M:%S} UTC: {names}.",
            "Beat and a worker are alive. Probably all workers are busy: look for a long task in their logs, or start "
            "another worker.",
            url=admin_url("system"),
        )


def _describe_failing(status: ScheduleStatus) -> Finding:
    since, error = (status.record.failing_since, status.record.error) if status.record else (None, "")
    return Finding(
        AlarmKind.TASK_FAILING,
        f"“{status.schedule.name}” has failed since {since:%Y-%m-%d %H:%M:%S} UTC: {error}",
        "It runs again by its schedule. If the error stays, search the worker's log for the name of the task, "
        f"{status.schedule.task}.",
        about=status.schedule.name,
        url=admin_url("django_celery_beat_periodictask_change", status.schedule.pk),
    )


def find_webhooks(now: datetime) -> Iterator[Finding]:
    """Find webhook endpoints that fail, or were disabled because they did."""
    is_failing = Q(is_enabled=True, failing_since__lte=now - FAILING_AFTER)
    is_disabled = Q(is_enabled=False) & ~Q(disabled_reason="")
    for endpoint in WebhookEndpoint.objects.filter(is_failing | is_disabled).order_by("pk"):
        state = (
            endpoint.disabled_reason or f"It has accepted nothing since {endpoint.failing_since:%Y-%m-%d %H:%M} UTC."
        )
        yield Finding(
            AlarmKind.WEBHOOK_FAILING,
            f"The webhook endpoint {endpoint.public_id} at {host_of(endpoint.url)} fails. {state}",
            "Its deliveries show the responses. Fix the receiver; waiting messages are sent again automatically, and "
            "once a disabled endpoint is enabled.",
            about=endpoint.public_id,
            url=endpoint.get_absolute_url(),
        )


def find_change_log(now: datetime) -> Iterator[Finding]:
    """Find that the latest verification of the change log failed, or that its copy doesn't go on."""
    url = admin_url("auditlog_logentry_changelist")
    check = ChangeLogCheck.objects.last()
    if check and check.problem:
        yield Finding(
            AlarmKind.CHANGE_LOG_BROKEN,
            f"The change log was tampered with: {check.problem}",
            "Find out who can write to the database as its owner or as superuser. Compare with the copy of the change "
            "log and with a backup. After that, “Verify” on the page of the change log checks again.",
            url=url,
        )
    copy = ChangeLogCopy.objects.filter(pk=settings.CHANGE_LOG_STREAM).exclude(error="").first()
    if copy and (copy.copied_at is None or now - copy.copied_at > NOT_COPIED_AFTER):
        yield Finding(
            AlarmKind.CHANGE_LOG_NOT_COPIED,
            f"The change log isn't copied to {host_of(copy.target)}: {copy.error}",
            "Check that the target is reachable and accepts entries. Copying continues where it stopped.",
            url=url,
        )


def find_locks(now: datetime) -> Iterator[Finding]:
    """Find sessions for whose locks others have waited long. It is one alarm, however many these are."""
    if holders := find_holders():
        names = ", ".join(holder.name for holder in holders[:MOST_NAMED])
        more = f" and {len(holders) - MOST_NAMED} more" if len(holders) > MOST_NAMED else ""
        waiting = sum(holder.waiting for holder in holders)
        one = len(holders) == 1
        yield Finding(
            AlarmKind.LOCK_HELD,
            f"{waiting:,} {'session waits' if waiting == 1 else 'sessions wait'}, the longest for "
            f"{max(holder.waiting_s for holder in holders):,.0f} seconds, for "
            f"{'a lock of the session' if one else 'locks of the sessions'} {names}{more}.",
            describe_ending(holders[:MOST_NAMED]),
            url=admin_url("system"),
        )


def find_space(now: datetime) -> Iterator[Finding]:
    """Find that the disk or the quota of the database is nearly full."""
    space = measure_disk()
    if space and space.free < settings.DISK_ALARM_GB * GIB:
        yield Finding(
            AlarmKind.DISK_LOW,
            f"The disk of the database has {write_size(space.free)} left.",
            EXTEND_DISK,
            about=str(space.path),
            url=admin_url("system"),
        )
    quota = settings.DATABASE_QUOTA_GB * GIB
    if quota and (size := measure_database()) >= QUOTA_USED * quota:
        yield Finding(
            AlarmKind.DISK_LOW,
            f"The database takes {write_size(size)} of its quota of {write_size(quota)}.",
            "Extend the database's disk and DATABASE_QUOTA_GB, or limit what is kept with LEDGER_DAYS and LOG_DAYS.",
            about="quota",
            url=admin_url("system"),
        )


def register_checks() -> None:
    """Register the checks of this module."""
    register_check("processes", [kind for kind, _ in SILENT.values()], find_silent)
    register_check("clocks", [AlarmKind.CLOCK_DIFFERS], find_clocks)
    register_check(
        "schedules", [AlarmKind.SCHEDULE_MISSED, AlarmKind.SCHEDULE_DISABLED, AlarmKind.TASK_FAILING], find_schedules
    )
    register_check("webhooks", [AlarmKind.WEBHOOK_FAILING], find_webhooks)
    register_check("the change log", [AlarmKind.CHANGE_LOG_BROKEN, AlarmKind.CHANGE_LOG_NOT_COPIED], find_change_log)
    register_check("locks", [AlarmKind.LOCK_HELD], find_locks)
    register_check("space", [AlarmKind.DISK_LOW], find_space)
