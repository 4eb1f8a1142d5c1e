"""Checks raise alarms for what they find, and clear them a while after it is over."""

from datetime import timedelta

import pytest
from django.db import connection

from config.alarms import checks
from config.alarms.checks import register_check, run_checks
from config.alarms.kinds import AlarmKind
from config.alarms.models import Alarm
from config.alarms.raising import Finding, raise_alarm
from config.tasks import check_for_alarms
from tests.factories import NOW

pytestmark = pytest.mark.django_db
CLOCK = Finding(AlarmKind.CLOCK_DIFFERS, "The clock of app-1 differs by 2 minutes.", "Set it right.", about="app-1")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """Return what the only check finds."""
    findings: list[Finding] = []
    monkeypatch.setattr(checks, "_checks", {})
    register_check("clocks", [AlarmKind.CLOCK_DIFFERS], lambda now: findings)
    return findings


def at(seconds: int):
    return NOW + timedelta(seconds=seconds)


def test_an_alarm_is_cleared_two_minutes_after_it_was_last_found(found: list[Finding]):
    found.append(CLOCK)
    assert run_checks(now=at(0)) == 1
    assert run_checks(now=at(30)) == 1
    found.clear()
    assert run_checks(now=at(120)) == 0
    assert Alarm.objects.get().cleared_at is None
    run_checks(now=at(150))
    assert Alarm.objects.get().cleared_at == at(150)


def test_something_that_comes_and_goes_is_one_alarm(found: list[Finding]):
    for minute in range(10):
        found[:] = [CLOCK] if minute % 2 == 0 else []
        run_checks(now=at(60 * minute))
    assert Alarm.objects.get().status == "open"


def test_alarms_of_other_kinds_are_left_to_who_raised_them(found: list[Finding]):
    proof = Finding(AlarmKind.PROOF_FAILED, "One line differs.", "See the proof.")
    raise_alarm(proof, now=at(0))
    run_checks(now=at(3600))
    assert Alarm.objects.get().status == "open"


def test_a_check_that_fails_is_an_alarm_and_the_others_run(found: list[Finding]):
    def read_no_table(now: object) -> list[Finding]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM no_such_table")
        return []

    register_check("a table", [AlarmKind.LOCK_HELD], read_no_table)
    found.append(CLOCK)
    run_checks(now=at(0))
    assert {(alarm.kind, alarm.about) for alarm in Alarm.objects.all()} == {
        ("clock_differs", "app-1"),
        ("check_failed", "a table"),
    }
    register_check("a table", [AlarmKind.LOCK_HELD], lambda now: [])
    run_checks(now=at(180))
    assert Alarm.objects.get(kind="check_failed").status == "cleared"


def test_the_schedule_runs_all_checks(found: list[Finding]):
    found.append(CLOCK)
    assert check_for_alarms() == 1
    assert Alarm.objects.get().message == CLOCK.message


def list_alarms() -> set[tuple[str, str]]:
    return {(alarm.kind, alarm.about) for alarm in Alarm.objects.all()}


@pytest.mark.parametrize("error", [KeyError(), ValueError("no"), OSError(28, "No space left on device")])
def test_a_check_that_fails_in_any_way_is_an_alarm_and_the_others_run(found: list[Finding], error: Exception):
    def fail(now: object) -> list[Finding]:
        raise error

    found.append(CLOCK)
    checks._checks = {"a fault": checks.Check("a fault", frozenset({AlarmKind.LOCK_HELD}), fail), **checks._checks}
    assert run_checks(now=at(0)) == 2
    assert list_alarms() == {("clock_differs", "app-1"), ("check_failed", "a fault")}
    assert type(error).__name__ in Alarm.objects.get(kind="check_failed").message
    assert [finding.about for finding in checks.find_all(now=at(0))["a fault"]] == ["a fault"]


def test_a_finding_that_cant_be_stored_is_an_alarm_and_the_others_are_raised(found: list[Finding]):
    found += [Finding(AlarmKind.CLOCK_DIFFERS, "A zero: \0", "Look.", about="app-0"), CLOCK]
    run_checks(now=at(0))
    assert list_alarms() == {("clock_differs", "app-1"), ("check_failed", "clocks")}


def test_a_long_name_is_shortened(found: list[Finding]):
    found.append(Finding(AlarmKind.CLOCK_DIFFERS, "It differs.", "Set it right.", about="x" * 300))
    for seconds in (0, 150, 300):
        run_checks(now=at(seconds))
    assert list_alarms() == {("clock_differs", "x" * 255)}
    assert Alarm.objects.get().status == "open"
