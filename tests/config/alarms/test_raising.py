"""An alarm opens once, is seen again, is acknowledged with a note, and is cleared."""

from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.db import connection
from django.db.models import QuerySet

from config.alarms.kinds import AlarmKind
from config.alarms.models import Alarm
from config.alarms.raising import AlarmCleared, Finding, acknowledge, clear_alarm, raise_alarm
from tests.config.webhooks.messages import last_body, make_endpoint, sent_messages
from tests.factories import NOW, make_user

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(minutes=5)


def disk(message: str = "The disk has 1 GB left.", about: str = "app-1") -> Finding:
    return Finding(AlarmKind.DISK_LOW, message, "Extend the disk.", about=about, url="/admin/")


def test_what_is_found_again_is_one_alarm_with_the_newest_message():
    raise_alarm(disk(), now=NOW)
    alarm = raise_alarm(disk("The disk has 0.9 GB left."), now=LATER)
    assert Alarm.objects.get() == alarm
    assert (alarm.opened_at, alarm.seen_at, alarm.message) == (NOW, LATER, "The disk has 0.9 GB left.")
    assert alarm.status == "open"


def test_other_subjects_have_their_own_alarms():
    raise_alarm(disk(), now=NOW)
    raise_alarm(disk(about="app-2"), now=NOW)
    assert Alarm.objects.count() == 2


def test_a_cleared_alarm_is_kept_and_the_next_one_is_new():
    first = raise_alarm(disk(), now=NOW)
    assert clear_alarm(AlarmKind.DISK_LOW, "app-1", now=LATER)
    assert not clear_alarm(AlarmKind.DISK_LOW, "app-1", now=LATER)
    second = raise_alarm(disk(), now=LATER)
    assert first != second
    first.refresh_from_db()
    assert (first.cleared_at, first.status) == (LATER, "cleared")


def test_opening_and_clearing_send_one_webhook_each():
    make_endpoint()
    alarm = raise_alarm(disk(), now=NOW)
    raise_alarm(disk(), now=LATER)
    clear_alarm(AlarmKind.DISK_LOW, "app-1", now=LATER)
    clear_alarm(AlarmKind.DISK_LOW, "app-1", now=LATER)
    assert sent_messages() == [("alarm.opened", alarm.public_id), ("alarm.cleared", alarm.public_id)]
    shown = last_body("alarm.opened")["alarm"]
    assert (shown["kind"], shown["about"], shown["status"]) == ("disk_low", "app-1", "open")
    assert (shown["message"], shown["what_to_do"]) == ("The disk has 1 GB left.", "Extend the disk.")
    assert last_body("alarm.cleared")["alarm"]["status"] == "cleared"


def test_an_acknowledgment_is_in_the_change_log_with_its_note():
    alarm, mia = raise_alarm(disk(), now=NOW), make_user(username="mia", first_name="Mia")
    acknowledged = acknowledge(alarm, "Ordered a larger disk", by=mia, now=LATER)
    assert (acknowledged.status, acknowledged.acknowledger) == ("acknowledged", "Mia")
    entry = LogEntry.objects.get_for_object(alarm).get()
    assert (entry.actor, entry.additional_data) == (mia, {"reason": "Ordered a larger disk"})
    assert raise_alarm(disk(), now=LATER).status == "acknowledged"


def test_a_cleared_alarm_cant_be_acknowledged():
    alarm = raise_alarm(disk(), now=NOW)
    clear_alarm(AlarmKind.DISK_LOW, "app-1", now=LATER)
    with pytest.raises(AlarmCleared):
        acknowledge(alarm, "Mine", by=make_user(), now=LATER)


@pytest.mark.django_db(transaction=True)
def test_two_processes_that_find_the_same_open_one_alarm():
    make_endpoint()
    barrier = Barrier(2)

    def find() -> None:
        barrier.wait()
        raise_alarm(disk(), now=NOW)
        connection.close()

    threads = [Thread(target=find) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Alarm.objects.count() == 1
    assert [name for name, _ in sent_messages()] == ["alarm.opened"]


def test_an_alarm_that_another_process_opens_and_clears_meanwhile_is_opened_again(monkeypatch: pytest.MonkeyPatch):
    create, calls = QuerySet.bulk_create, []

    def lose_once(rows: QuerySet[Alarm], new: list[Alarm], **options: Any) -> list[Alarm]:
        calls.append(new)
        return create(rows, new, **options) if len(calls) > 1 else []

    monkeypatch.setattr(QuerySet, "bulk_create", lose_once)
    assert raise_alarm(disk(), now=NOW).status == "open"
    assert Alarm.objects.count() == 1
