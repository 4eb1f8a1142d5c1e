"""Emails about alarms: one at opening, a reminder each day until someone acknowledges, one at the end."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from smtplib import SMTPServerDisconnected

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from pytest_django import Settings

from config.alarms.kinds import AlarmKind
from config.alarms.mail import send_notices
from config.alarms.models import Alarm
from config.alarms.raising import Finding, acknowledge, clear_alarm, raise_alarm
from config.monitoring import rounds
from config.monitoring.heartbeats import is_silent
from config.monitoring.models import Process
from tests.factories import NOW, make_user

pytestmark = pytest.mark.django_db
WAITING = Finding(
    AlarmKind.EVENTS_WAITING, "Events have waited for 3 minutes.", "Check that a worker runs.", url="/admin/events/"
)


@pytest.fixture(autouse=True)
def addresses(settings: Settings) -> None:
    settings.ALARM_EMAILS = ["ops@larkspur.example", "night@larkspur.example"]
    settings.COMPANY_NAME, settings.SITE_URL = "Larkspur", "https://billing.larkspur.example"


def at(hours: float):
    return NOW + timedelta(hours=hours)


def test_the_email_says_what_is_wrong_what_to_do_and_where_to_look():
    alarm = raise_alarm(WAITING, now=NOW)
    assert send_notices(now=NOW) == 1
    (email,) = mail.outbox
    assert email.to == ["ops@larkspur.example", "night@larkspur.example"]
    assert email.subject == "[Larkspur] Alarm: Events have waited for 3 minutes."
    assert email.body.splitlines() == [
        "Events have waited for 3 minutes.",
        "",
        "Since 2026-03-10 12:00 UTC.",
        "",
        "What to do: Check that a worker runs.",
        "",
        "Look at: https://billing.larkspur.example/admin/events/",
        f"The alarm: https://billing.larkspur.example/admin/config/alarm/{alarm.pk}/change/",
    ]


def test_an_open_alarm_is_mailed_once_a_day():
    raise_alarm(WAITING, now=NOW)
    assert [send_notices(now=at(hours)) for hours in (0, 0.01, 23.9, 24, 24.1, 47.9, 48)] == [1, 0, 0, 1, 0, 0, 1]


def test_an_acknowledged_alarm_isnt_mailed_again_until_it_is_cleared():
    alarm = raise_alarm(WAITING, now=NOW)
    send_notices(now=NOW)
    acknowledge(alarm, "On it", by=make_user(), now=at(1))
    assert send_notices(now=at(30)) == 0
    clear_alarm(WAITING.kind, now=at(31))
    assert [send_notices(now=at(hours)) for hours in (31, 31.1, 60)] == [1, 0, 0]
    assert mail.outbox[-1].subject == "[Larkspur] Cleared: Events have waited for 3 minutes."
    assert "Cleared at 2026-03-11 19:00 UTC. There is nothing left to do." in mail.outbox[-1].body


def test_an_alarm_that_was_over_before_any_email_isnt_mailed():
    raise_alarm(WAITING, now=NOW)
    clear_alarm(WAITING.kind, now=NOW)
    assert send_notices(now=NOW) == 0


def test_nothing_is_sent_without_addresses(settings: Settings):
    settings.ALARM_EMAILS = []
    raise_alarm(WAITING, now=NOW)
    assert send_notices(now=NOW) == 0
    settings.ALARM_EMAILS = ["ops@larkspur.example"]
    assert send_notices(now=at(1)) == 1


def test_an_email_that_couldnt_be_sent_is_sent_by_the_next_check(monkeypatch: pytest.MonkeyPatch):
    def refuse(backend: EmailBackend, messages: object) -> int:
        raise SMTPServerDisconnected("Connection unexpectedly closed")

    raise_alarm(WAITING, now=NOW)
    with monkeypatch.context() as patch:
        patch.setattr(EmailBackend, "send_messages", refuse)
        assert send_notices(now=NOW) == 0
    assert send_notices(now=at(0.01)) == 1


def test_a_mail_server_that_hangs_locks_no_alarm_and_costs_a_bounded_time(monkeypatch: pytest.MonkeyPatch):
    seconds = [0.0]

    def time_out(backend: EmailBackend, messages: object) -> int:
        seconds[0] += 10
        raise TimeoutError("timed out")

    for number in range(50):
        raise_alarm(Finding(AlarmKind.CLOCK_DIFFERS, "It differs.", "Set it.", about=f"app-{number}"), now=NOW)
    monkeypatch.setattr("time.monotonic", lambda: seconds[0])
    monkeypatch.setattr(EmailBackend, "send_messages", time_out)
    assert send_notices(now=NOW) == 0
    assert seconds[0] <= 30


@pytest.mark.django_db(transaction=True)
def test_alarms_are_written_while_an_email_about_them_is_sent(monkeypatch: pytest.MonkeyPatch):
    def see_again(backend: EmailBackend, messages: object) -> int:
        with ThreadPoolExecutor() as pool:
            pool.submit(_raise_and_close).result(10)
        return 1

    raise_alarm(WAITING, now=NOW)
    monkeypatch.setattr(EmailBackend, "send_messages", see_again)
    assert send_notices(now=NOW) == 1
    assert Alarm.objects.get().seen_at == at(1)


def _raise_and_close() -> None:
    raise_alarm(WAITING, now=at(1))
    connection.close()


def test_no_round_waits_for_the_mail_server(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rounds, "send_notices", lambda now, lock: seen.append(is_silent(Process.CHECKS, now=now)))
    seen: list[bool] = []
    rounds.run_round()
    assert seen == [False]  # the round is noted before emails are sent
