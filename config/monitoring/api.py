"""The API view of the installation's state."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.openapi import operation
from config.api.views import ApiView
from config.db.clock import read_database_clock
from config.monitoring.models import Process
from config.monitoring.schedules import ScheduleStatus
from config.monitoring.status import ProcessStatus, SystemStatus, read_status


class ProcessOut(serializers.Serializer[Any]):
    """A process and when it was last seen. A kind of process that was never seen has only nulls."""

    process = serializers.ChoiceField(Process.choices)
    is_alive = serializers.BooleanField()
    host = serializers.CharField(allow_null=True)
    version = serializers.CharField(allow_null=True)
    starts_schedules = serializers.BooleanField(
        help_text="Of several beats, one starts the schedules. The others stand by, and one takes over if it dies."
    )
    started_at = serializers.DateTimeField(allow_null=True)
    last_seen_at = serializers.DateTimeField(allow_null=True)
    clock_ahead_seconds = serializers.FloatField(
        allow_null=True, help_text="How far the clock of its machine is ahead of the database's."
    )


class TaskScheduleOut(serializers.Serializer[Any]):
    """A schedule against its plan."""

    name = serializers.CharField()
    plan = serializers.CharField()
    is_enabled = serializers.BooleanField()
    is_missed = serializers.BooleanField(help_text="Whether it was due and hasn't run.")
    is_failing = serializers.BooleanField()
    error = serializers.CharField(allow_null=True, help_text="Of the last run that failed, while it fails.")
    last_started_at = serializers.DateTimeField(allow_null=True)
    last_succeeded_at = serializers.DateTimeField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True)


class QueueOut(serializers.Serializer[Any]):
    """Work that waits."""

    name = serializers.CharField()
    waiting = serializers.IntegerField(allow_null=True, help_text="Null if the queue can't be read.")
    oldest_seconds = serializers.FloatField(
        source="oldest_s", allow_null=True, help_text="How long the oldest has waited; null if it isn't known."
    )


class SystemOut(serializers.Serializer[Any]):
    """The state of the installation: processes, schedules, queues and the database."""

    version = serializers.CharField()
    read_at = serializers.DateTimeField(help_text="By the database's clock.")
    open_alarms = serializers.IntegerField(help_text="See `GET /v1/alarms?status=open`.")
    processes = ProcessOut(many=True)
    schedules = TaskScheduleOut(many=True)
    queues = QueueOut(many=True)
    database_bytes = serializers.IntegerField()
    database_growth_bytes = serializers.IntegerField(
        allow_null=True, help_text="Per day in the last week; null if it isn't known yet."
    )
    backed_up_at = serializers.DateTimeField(
        allow_null=True, help_text="When the newest verified backup began; null if there is none."
    )
    disk_free_bytes = serializers.IntegerField(allow_null=True, help_text="Null if the database is elsewhere.")


class System(ApiView):
    """Retrieve the state of the installation: processes, schedules against their plans, queues, and the database."""

    @operation("getSystem", "Retrieve the state of the installation", tag="System", answers={200: SystemOut})
    def get(self, request: Request) -> Response:
        return Response(SystemOut(_as_values(read_status(now=read_database_clock()))).data)


def _as_values(status: SystemStatus) -> dict[str, Any]:
    return {
        "version": status.version,
        "read_at": status.at,
        "open_alarms": len(status.alarms),
        "processes": [_process(process) for process in status.processes],
        "schedules": [_schedule(schedule) for schedule in status.schedules],
        "queues": status.queues,
        "database_bytes": status.database_bytes,
        "database_growth_bytes": status.database_growth,
        "backed_up_at": status.backed_up_at,
        "disk_free_bytes": status.disk.free if status.disk else None,
    }


def _process(status: ProcessStatus) -> dict[str, Any]:
    beat = status.heartbeat
    return {
        "process": status.process,
        "is_alive": status.is_alive,
        "starts_schedules": status.starts_schedules,
        "host": beat and beat.host,
        "version": beat and beat.version,
        "started_at": beat and beat.started_at,
        "last_seen_at": beat and beat.seen_at,
        "clock_ahead_seconds": round(beat.clock_ahead_s, 3) if beat else None,
    }


def _schedule(status: ScheduleStatus) -> dict[str, Any]:
    record = status.record
    return {
        "name": status.schedule.name,
        "plan": status.plan,
        "is_enabled": status.schedule.enabled,
        "is_missed": status.is_missed,
        "is_failing": status.is_failing,
        "error": record.error if record and status.is_failing else None,
        "last_started_at": record and record.started_at,
        "last_succeeded_at": record and record.succeeded_at,
        "due_at": status.due_at,
    }
