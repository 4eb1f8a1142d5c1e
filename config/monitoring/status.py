"""The state of the installation in one value, for the page System and the API."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from config.alarms.models import Alarm
from config.backups.running import find_last_verified
from config.installation.schedules import Schedule
from config.monitoring.disk import Space, measure_disk
from config.monitoring.models import SILENT_AFTER, Heartbeat, Process, SchedulingLease
from config.monitoring.queues import Queue, read_queues
from config.monitoring.schedules import ScheduleStatus, find_stopped, read_schedules
from config.monitoring.sizes import growth_per_day, measure_database
from config.version import VERSION

SHOWN_FOR = timedelta(hours=1)  # processes that are no longer alive


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """A process and whether it is alive; without a heartbeat, a kind of process that was never seen or not lately.

    Of several beats, one starts the schedules, and the others stand by.
    """

    process: Process
    heartbeat: Heartbeat | None
    is_alive: bool
    starts_schedules: bool = False

    @property
    def stands_by(self) -> bool:
        return self.process == Process.BEAT and self.is_alive and not self.starts_schedules


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """The state of the installation at a moment."""

    at: datetime
    version: str
    processes: list[ProcessStatus]
    schedules: list[ScheduleStatus]
    deleted_schedules: list[Schedule]  # that the product needs
    queues: list[Queue]
    alarms: list[Alarm]
    database_bytes: int
    database_growth: int | None
    disk: Space | None
    backed_up_at: datetime | None  # when the newest verified backup began

    @property
    def days_left(self) -> int | None:
        """For how many days the disk lasts if the database grows as in the last week."""
        if self.disk is None or not self.database_growth or self.database_growth < 0:
            return None
        return self.disk.free // self.database_growth


def read_status(*, now: datetime) -> SystemStatus:
    """Read the state of the installation, in a fixed number of queries."""
    schedules = read_schedules(now=now)
    tasks = {status.schedule.task for status in schedules}
    return SystemStatus(
        at=now,
        version=VERSION,
        processes=_read_processes(now),
        schedules=schedules,
        deleted_schedules=[schedule for schedule in find_stopped(schedules) if schedule.task not in tasks],
        queues=read_queues(now=now),
        alarms=list(Alarm.objects.open().select_related("acknowledged_by").order_by("pk")),
        database_bytes=measure_database(),
        database_growth=growth_per_day(now=now),
        disk=measure_disk(),
        backed_up_at=find_last_verified(),
    )


def _read_processes(now: datetime) -> list[ProcessStatus]:
    rows = list(Heartbeat.objects.filter(seen_at__gt=now - SHOWN_FOR).order_by("host", "pid"))
    lease = SchedulingLease.objects.filter(ends_at__gt=now).first()
    scheduler = (Process.BEAT, lease.host, lease.pid) if lease else None
    statuses = []
    for process in Process:
        own = [row for row in rows if row.process == process]
        for row in own:
            starts_schedules = (process, row.host, row.pid) == scheduler
            statuses.append(ProcessStatus(process, row, now - row.seen_at <= SILENT_AFTER, starts_schedules))
        if not own:
            last = Heartbeat.objects.filter(process=process).order_by("-seen_at").first()
            statuses.append(ProcessStatus(process, last, is_alive=False))
    return statuses
