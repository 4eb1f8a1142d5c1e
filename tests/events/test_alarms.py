"""Alarms about events that wait, and about usage that differs from the events."""

from datetime import timedelta

import pytest

from events.alarms import find_differences, find_waiting
from events.ledger.rebuilding import Scope, rebuild_usage
from events.models import UsageBucket, UsageCheck
from tests.events.senders import process, send
from tests.factories import NOW, make_customer, make_feature

pytestmark = pytest.mark.django_db


def test_events_that_wait_for_more_than_a_minute_are_found():
    send("api.calls", received_at=NOW)
    send("api.calls", received_at=NOW + timedelta(seconds=30))
    assert list(find_waiting(NOW + timedelta(seconds=60))) == []
    (finding,) = find_waiting(NOW + timedelta(seconds=61))
    assert finding.message == "2 events wait to be counted, the oldest for 61 s."
    process()
    assert list(find_waiting(NOW + timedelta(seconds=61))) == []


def check_usage(*, apply: bool = False) -> UsageCheck:
    return rebuild_usage(Scope(), apply=apply, now=NOW, reason="Nightly check")


def test_usage_that_differs_is_found_until_a_check_finds_no_difference():
    make_feature(event_name="api.calls")
    make_customer(external_id="acme")
    send("api.calls", customer="acme", at=NOW, received_at=NOW)
    process()
    check_usage()
    assert list(find_differences(NOW)) == []
    UsageBucket.objects.update(count=5)
    check = check_usage()
    (finding,) = find_differences(NOW)
    assert finding.message == "Usage differs from the events in 1 of 1 hours."
    assert finding.url == f"/admin/events/usagecheck/{check.pk}/change/"
    check_usage(apply=True)
    assert list(find_differences(NOW)) == []
