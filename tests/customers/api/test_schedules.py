"""Scheduled changes through the API: list, retrieve, withdraw."""

from datetime import timedelta

import pytest
from django.utils import timezone

from customers.models import Subscription
from customers.subscriptions import cancel_at_period_end, change_plan, get_phases, pause
from tests.factories import make_plan, make_subscription

pytestmark = pytest.mark.django_db


@pytest.fixture
def subscription() -> Subscription:
    return make_subscription(starts_at=timezone.now() - timedelta(days=3))


def in_days(days: int):
    return timezone.now().replace(microsecond=0) + timedelta(days=days)


def schedule_all(subscription):
    """Schedule a pause in 5 days, a plan change in 10, and a cancellation in 20."""
    now, plan = timezone.now(), make_plan(name="Pro")
    pause(subscription, at=in_days(5), until=in_days(7), now=now, by=None, reason="Holiday")
    change_plan(subscription, plan, at=in_days(10), now=now, by=None, reason="Upgrade")
    cancel_at_period_end(subscription, now=now, by=None, reason="Leaves")
    return plan


def kinds(api, subscription):
    return [item["schedule_type"] for item in api.get(f"subscriptions/{subscription.public_id}/schedules")["schedules"]]


def test_scheduled_changes_are_listed_in_the_order_of_their_time(api, subscription):
    plan = schedule_all(subscription)
    listed = api.get(f"subscriptions/{subscription.public_id}/schedules")
    assert listed["count"] == 3
    paused, changed, cancelled = listed["schedules"]
    assert [item["schedule_type"] for item in listed["schedules"]] == ["pause", "plan_change", "cancellation"]
    assert (paused["configuration"]["reason"], paused["days_until_execution"]) == ("Holiday", 5)
    assert changed["configuration"]["target_plan_id"] == plan.public_id
    assert cancelled["scheduled_at"] == api.get(f"subscriptions/{subscription.public_id}")["cancel_at"]
    assert api.get(f"subscriptions/schedules/{changed['id']}") == changed


def test_changes_of_all_subscriptions_are_listed_and_filtered(api, subscription):
    schedule_all(subscription)
    other = make_subscription(starts_at=timezone.now(), trial_days=14)  # a trial's end isn't a scheduled change
    cancel_at_period_end(other, now=timezone.now(), by=None)
    assert api.get("subscriptions/schedules")["count"] == 4
    assert api.get("subscriptions/schedules", subscription_id=other.public_id)["count"] == 1
    assert api.get("subscriptions/schedules", schedule_type="cancellation")["count"] == 2
    assert api.get("subscriptions/schedules", schedule_status="executed")["count"] == 0
    page = api.get("subscriptions/schedules", limit=1, offset=1)
    assert (page["count"], [item["schedule_type"] for item in page["schedules"]]) == (4, ["plan_change"])


@pytest.mark.parametrize(
    ("position", "remaining"),
    [(0, ["plan_change", "cancellation"]), (1, ["pause", "cancellation"]), (2, ["pause", "plan_change"])],
)
def test_one_change_is_withdrawn_and_the_others_stay(api, subscription, position, remaining):
    schedule_all(subscription)
    schedules = api.get(f"subscriptions/{subscription.public_id}/schedules")["schedules"]
    path = f"subscriptions/schedules/{schedules[position]['id']}/cancel"
    assert api.post(path, {"schedule_type": schedules[position]["schedule_type"]})["status"] == "cancelled"
    assert kinds(api, subscription) == remaining
    assert api.post(path, status=404)["code"] == "not_found"


def test_the_fields_that_sdks_send_must_agree_with_the_path(api, subscription):
    schedule_all(subscription)
    schedule = api.get(f"subscriptions/{subscription.public_id}/schedules")["schedules"][0]
    refused = api.post(f"subscriptions/schedules/{schedule['id']}/cancel", {"schedule_type": "cancellation"}, 400)
    assert "schedule_type" in refused["details"]
    assert len(kinds(api, subscription)) == 3


def test_an_unknown_schedule_is_not_found(api, subscription):
    for schedule_id in ("nothing", f"{subscription.public_id}:cancellation:1"):
        assert api.get(f"subscriptions/schedules/{schedule_id}", 404)["code"] == "not_found"


def test_updating_a_subscription_sets_and_undoes_its_cancellation(api, subscription):
    path = f"subscriptions/{subscription.public_id}"
    assert api.put(path, {"cancel_at_period_end": True})["cancel_at_period_end"] is True
    undone = api.put(path, {"cancel_at_period_end": False, "reason": "Stays"})
    assert (undone["cancel_at"], undone["cancel_at_period_end"], undone["end_date"]) == (None, False, None)
    assert get_phases(subscription).get().reason == "Stays"
    dated = api.put(path, {"cancel_at": "2031-05-01T00:00:00Z"})
    assert dated["cancel_at"] == "2031-05-01T00:00:00Z"
    assert api.put(path, {"cancel_at": None})["cancel_at"] is None
    assert api.put(path, {"cancel_at": None})["cancel_at"] is None  # nothing is scheduled: nothing changes
    assert "cancel_at" in api.put(path, {"cancel_at": "2020-01-01T00:00:00Z"}, 400)["details"]
    assert "cancel_at" in api.put(path, {}, 400)["details"]


def test_an_ended_subscription_cannot_be_reopened(api, subscription):
    path = f"subscriptions/{subscription.public_id}"
    api.post(f"{path}/cancel", {"cancellation_type": "immediate"})
    assert "ended on" in api.put(path, {"cancel_at_period_end": False}, 400)["message"]


def test_a_pause_is_scheduled_and_withdrawn(api, subscription):
    path = f"subscriptions/{subscription.public_id}"
    assert "pause_start" in api.post(f"{path}/pause", {"pause_mode": "scheduled"}, 400)["details"]
    assert "pause_start" in api.post(f"{path}/pause", {"pause_start": in_days(1)}, 400)["details"]
    api.post(f"{path}/pause", {"pause_mode": "scheduled", "pause_start": in_days(4), "pause_end": in_days(6)})
    (schedule,) = api.get(f"{path}/schedules")["schedules"]
    assert schedule["schedule_type"] == "pause"
    api.post(f"subscriptions/schedules/{schedule['id']}/cancel")
    assert [phase.kind for phase in get_phases(subscription)] == ["active"]
