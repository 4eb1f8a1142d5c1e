"""An outage of the database is mailed by a web process: after a minute, once a day, and at its end."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from pytest_django import Settings

from config.monitoring.outages.times import SIZE
from config.monitoring.outages.unreachable import Outage

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY_S = 86_400


@pytest.fixture(autouse=True)
def addresses(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    settings.ALARM_EMAILS = ["ops@larkspur.example"]


def at(seconds: int) -> datetime:
    return NOON + timedelta(seconds=seconds)


def note(outage: Outage, *seconds: int) -> list[bool]:
    return [outage.note("refused", now=at(second)) for second in seconds]


def list_subjects() -> list[str]:
    return [email.subject.removeprefix("[Example Company] ") for email in mail.outbox]


def test_an_outage_is_mailed_after_a_minute_once_a_day_and_at_its_end():
    outage = Outage()
    assert note(outage, 0, 30, 60, 90, 3600) == [False, False, True, False, False]
    assert note(outage, 60 + DAY_S) == [True]
    assert [outage.end(), outage.end()] == [True, False]
    began, again, ended = mail.outbox
    assert list_subjects() == [
        *["Alarm: PostgreSQL can't be reached"] * 2,
        "Cleared: PostgreSQL responds again",
    ]
    assert "PostgreSQL hasn't responded since 2026-03-10 12:00:00 UTC." in began.body
    assert "What to do: Check that PostgreSQL runs" in again.body
    assert ended.body == "PostgreSQL hadn't responded since 2026-03-10 12:00:00 UTC.\n"


def test_a_short_outage_isnt_mailed_and_the_next_one_begins_anew():
    outage = Outage()
    assert note(outage, 0) == [False]
    assert outage.end() is False
    assert note(outage, 70) == [False]
    assert mail.outbox == []


def test_the_processes_of_a_machine_send_one_email():
    first, second = Outage(), Outage()
    assert [*note(first, 0), *note(second, 5), *note(first, 61), *note(second, 66)] == [False, False, True, False]
    assert [first.end(), second.end()] == [True, False]
    assert len(mail.outbox) == 2


def test_an_outage_is_mailed_if_the_folder_cant_be_written(settings: Settings, tmp_path: Path):
    (tmp_path / "file").touch()
    settings.DATA_DIR = tmp_path / "file"  # in which no folder can be made
    outage = Outage()
    assert note(outage, 0, 60, 90) == [False, True, False]
    assert [outage.end(), outage.end()] == [True, False]


@contextmanager
def full_disk(limit: int = 0) -> Iterator[None]:
    """Let every write beyond so many bytes of a file fail inside the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_outage_is_mailed_once_if_the_disk_is_full():
    outage = Outage()
    with full_disk():
        noted = note(outage, 0, 60, 90)
        ended = [outage.end(), outage.end()]
    assert (noted, ended) == ([False, True, False], [True, False])
    assert len(mail.outbox) == 2


def test_the_file_of_a_process_that_started_in_time_needs_no_more_space():
    first, second = Outage(), Outage()
    first.prepare()
    with full_disk(SIZE):
        noted = [*note(first, 0), *note(second, 5), *note(first, 61), *note(second, 66)]
        ended = [second.end(), first.end()]
    assert (noted, ended) == ([False, False, True, False], [True, False])
    assert len(mail.outbox) == 2


def test_a_file_that_was_cut_off_is_ignored(tmp_path: Path):
    (tmp_path / "watcher").mkdir()
    (tmp_path / "watcher" / "outage").write_text("2026-03-10T12:0")
    assert note(Outage(), 0, 60) == [False, True]


def test_an_email_that_couldnt_be_sent_is_sent_the_next_time(monkeypatch: pytest.MonkeyPatch):
    def refuse(backend: EmailBackend, messages: object) -> int:
        raise TimeoutError("timed out")

    outage = Outage()
    with monkeypatch.context() as patch:
        patch.setattr(EmailBackend, "send_messages", refuse)
        assert note(outage, 0, 60) == [False, False]
    assert note(outage, 70) == [True]
