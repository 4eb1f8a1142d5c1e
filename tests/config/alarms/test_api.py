"""Alarms in the API: listed by status, and acknowledged with a key that has the scope."""

from urllib.parse import urlencode

import pytest
from auditlog.models import LogEntry
from django.utils import timezone

from config.alarms.kinds import AlarmKind
from config.alarms.raising import Finding, clear_alarm, raise_alarm
from tests.api import Api

pytestmark = pytest.mark.django_db


def disk(about: str):
    return raise_alarm(Finding(AlarmKind.DISK_LOW, "1 GB left.", "Extend the disk.", about=about), now=timezone.now())


def ids(api: Api, **query: str) -> list[str]:
    return [alarm["id"] for alarm in api.get(f"alarms?{urlencode(query)}")["items"]]


def test_alarms_are_listed_by_status_and_kind(api: Api):
    first, second, third = (disk(about) for about in ("app-1", "app-2", "app-3"))
    api.post(f"alarms/{second.public_id}/acknowledge", {"note": "Mine"})
    clear_alarm(AlarmKind.DISK_LOW, "app-3", now=timezone.now())
    assert ids(api) == [third.public_id, second.public_id, first.public_id]
    assert ids(api, status="open") == [first.public_id]
    assert ids(api, status="acknowledged") == [second.public_id]
    assert ids(api, status="cleared") == [third.public_id]
    assert ids(api, kind="clock_differs") == []
    api.get("alarms?status=closed", 400)


def test_a_system_acknowledges_with_the_scope_for_alarms():
    alarm, pager = disk("app-1"), Api("alarms:write", "read")
    path = f"alarms/{alarm.public_id}/acknowledge"
    Api("read").post(path, {"note": "Paged"}, 403)
    answer = pager.post(path, {"note": "Paged Mia"})
    assert (answer["status"], answer["note"]) == ("acknowledged", "Paged Mia")
    assert answer["acknowledged_by"].startswith("API key Test")
    entry = LogEntry.objects.get_for_object(alarm).get()
    assert entry.additional_data["reason"] == "Paged Mia"
    assert pager.get(f"alarms/{alarm.public_id}") == answer


def test_a_cleared_alarm_is_refused(api: Api):
    alarm = disk("app-1")
    clear_alarm(AlarmKind.DISK_LOW, "app-1", now=timezone.now())
    error = api.post(f"alarms/{alarm.public_id}/acknowledge", {"note": "Mine"}, 400)
    assert error["message"] == "The alarm was cleared meanwhile. There is nothing left to do."
    api.post(f"alarms/{alarm.public_id}/acknowledge", {}, 400)
    api.get("alarms/alarm_0", 404)
