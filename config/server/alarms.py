"""The alarm about messages that the file broker set aside."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from django.conf import settings

from config.alarms.checks import register_check
from config.alarms.kinds import AlarmKind
from config.alarms.raising import Finding
from config.server.broker import list_broken


def register_broker_alarm() -> None:
    """Register the check of the file broker."""
    register_check("the file broker", [AlarmKind.BROKER_FILE], find_broken_messages)


def find_broken_messages(now: datetime) -> Iterator[Finding]:
    """Find messages that the file broker set aside."""
    broker = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("data_folder_in")
    broken = list_broken(Path(str(broker))) if broker else []
    if broken:
        yield Finding(
            AlarmKind.BROKER_FILE,
            f"{len(broken)} malformed messages were set aside, the newest is {broken[-1]}.",
            "No work is lost, since schedules repeat it. Something else wrote to the folder, or the disk was full. "
            "Delete the files to clear the alarm.",
        )
