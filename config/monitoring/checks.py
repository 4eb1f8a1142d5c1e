"""The checks of what every installation has: processes, schedules, webhooks, the change log, clocks, locks, space."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from config.alarms.checks import register_check
from config.alarms.kinds import AlarmKind
from config.alarms.raising import Finding
from config.change_log.models import ChangeLogCheck, ChangeLogCopy
from config.limits import GIB
from config.monitoring.disk import measure_disk, write_size
from config.monitoring.heartbeats import is_silent, is_starting, last_seen
from config.monitoring.locks import find_holders
from config.monitoring.models import SILENT_AFTER, Heartbeat, Process
from config.monitoring.schedules import read_schedules
from config.monitoring.sizes import measure_database
from config.office.links import admin_url
from config.webhooks.models import WebhookEndpoint

MOST_APART_S = 60
FAILING_AFTER = timedelta(seconds=60)
NOT_COPIED_AFTER = timedelta(minutes=5)
QUOTA_USED = 0.9

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
            since = f"since {seen_at:%H:%M:%S} UTC" if seen_at else "and was never seen"
            yield Finding(
                kind,
                f"{process.label} is silent {since}. {effect}",
                f"Start {process.value} again, and read its log to see why it stopped. With Docker: "
                f"docker compose logs --tail 50 {process.value}, then docker compose restart {process.value}.",
                url=admin_url("system"),
            )


def find_clocks(now: datetime) -> Iterator[Finding]:
    """Find machines whose clock differs from the database's by more than a minute."""
    for beat in Heartbeat.objects.filter(seen_at__gt=now - SILENT_AFTER).order_by("pk"):
        if abs(beat.clock_ahead_s) > MOST_APART_S:
            yield Finding(
                AlarmKind.CLOCK_DIFFERS,
                f"The clock of {beat} is {_apart(beat.clock_ahead_s)} the database's. No task runs there.",
                "Set both clocks right: they should follow NTP. If only this machine is wrong, restart the process "
                "after its clock is right.",
                about=f"{beat.process} on {beat.host}",
                url=admin_url("system"),
            )


def _apart(seconds: float) -> str:
    minutes = f"{abs(seconds) / 60:,.0f} minutes"
    return f"{minutes} ahead of" if seconds > 0 else f"{minutes} behind"


def find_schedules(now: datetime) -> Iterator[Finding]:
    """Find schedules that were missed, unless beat or the worker is silent, and those whose task fails."""
    statuses = read_schedules(now=now)
    missed = [status for status in statuses if status.is_missed]
    if missed and not any(is_silent(process, now=now) for process in (Process.WORKER, Process.BEAT)):
        names = ", ".join(f"“{status.schedule.name}”" for status in missed)
        are = "s weren't" if len(missed) > 1 else " wasn't"
        due_at = min(status.due_at for status in missed if status.due_at)
        yield Finding(
            AlarmKind.SCHEDULE_MISSED,
            f"{len(missed)} schedule{are} run in time, since {due_at:%Y-%m-%d %H:%M:%S} UTC: {names}.",
            "Beat and a worker are alive. Probably all workers are busy: look for a long task in their logs, or start "
            "another worker.",
            url=admin_url("system"),
        )
    for status in statuses:
        name, url = status.schedule.name, admin_url("django_celery_beat_periodictask_change", status.schedule.pk)
        if status.is_failing and status.record:
            yield Finding(
                AlarmKind.TASK_FAILING,
                f"“{name}” fails since {status.record.failing_since:%Y-%m-%d %H:%M:%S} UTC: {status.record.error}",
                "It runs again by its schedule. If the error stays, search the worker's log for the name of the task, "
                f"{status.schedule.task}.",
                about=name,
                url=url,
            )


def find_webhooks(now: datetime) -> Iterator[Finding]:
    """Find webhook endpoints that fail, or were disabled because they did."""
    is_failing = Q(is_enabled=True, failing_since__lte=now - FAILING_AFTER)
    is_disabled = Q(is_enabled=False) & ~Q(disabled_reason="")
    for endpoint in WebhookEndpoint.objects.filter(is_failing | is_disabled).order_by("pk"):
        state = endpoint.disabled_reason or f"Nothing was accepted since {endpoint.failing_since:%Y-%m-%d %H:%M} UTC."
        yield Finding(
            AlarmKind.WEBHOOK_FAILING,
            f"The webhook endpoint {endpoint.url} fails. {state}",
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
            f"The change log isn't copied to {copy.target}: {copy.error}",
            "Check that the target is reachable and accepts entries. Copying continues where it stopped.",
            url=url,
        )


def find_locks(now: datetime) -> Iterator[Finding]:
    """Find sessions that hold a lock for long while others wait."""
    for holder in find_holders():
        name = f" ({holder.application})" if holder.application else ""
        yield Finding(
            AlarmKind.LOCK_HELD,
            f"Session {holder.pid} of the role {holder.role}{name} holds a lock that {holder.waiting} others wait for.",
            "If it is a person's session, ask them to commit or roll back. "
            f"SELECT pg_terminate_backend({holder.pid}); ends it, and its transaction is undone.",
            about=str(holder.pid),
            url=admin_url("system"),
        )


def find_space(now: datetime) -> Iterator[Finding]:
    """Find that the disk or the quota of the database is nearly full."""
    space = measure_disk()
    if space and space.free < settings.DISK_ALARM_GB * GIB:
        yield Finding(
            AlarmKind.DISK_LOW,
            f"The disk of the database has {write_size(space.free)} left.",
            "Extend the disk, or delete what isn't needed. Below 64 MB, events are refused. LEDGER_DAYS and LOG_DAYS "
            "limit what is kept.",
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
    register_check("schedules", [AlarmKind.SCHEDULE_MISSED, AlarmKind.TASK_FAILING], find_schedules)
    register_check("webhooks", [AlarmKind.WEBHOOK_FAILING], find_webhooks)
    register_check("the change log", [AlarmKind.CHANGE_LOG_BROKEN, AlarmKind.CHANGE_LOG_NOT_COPIED], find_change_log)
    register_check("locks", [AlarmKind.LOCK_HELD], find_locks)
    register_check("space", [AlarmKind.DISK_LOW], find_space)
