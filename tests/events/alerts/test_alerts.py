"""Webhooks are sent once for a cause of problems, and once per billing period for a usage alert."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from config.webhooks.models import WebhookEndpoint, WebhookMessage
from events.alerts import causes
from events.alerts.causes import notify_new_causes
from events.alerts.usage import NotMetered, check_alerts, make_alert, set_enabled
from events.ledger.conflicts import dismiss_conflicts
from events.ledger.voiding import dismiss
from events.models import DuplicateEvent, NotifiedConflict, Problem, ToldCause, UsageAlertFiring
from events.tasks import check_alerts as check_alerts_task
from events.tasks import notify_new_causes as tell_of_causes_task
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature, make_subscription

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def endpoint(db):
    return WebhookEndpoint.objects.create(url="https://shop.test/hooks")


def told(name):
    return [json.loads(one.body) for one in WebhookMessage.objects.filter(event_type=name).order_by("pk")]


# --- Causes of problems -------------------------------------------------------------------------------


def test_a_cause_is_notified_once_however_many_events_it_has():
    make_feature()
    for _ in range(3):
        send(customer="nobody")
    process()
    assert notify_new_causes(now=NOON) == 1
    send(customer="nobody")
    process()
    assert notify_new_causes(now=NOON) == 0
    (body,) = told("problem.opened")
    assert body["problem"]["reason"] == "unknown_customer"
    assert (body["problem"]["external_customer_id"], body["problem"]["problems"]) == ("nobody", 3)


def test_a_cause_that_opens_again_is_notified_again():
    make_feature()
    send(customer="nobody")
    process()
    tell_of_causes_task()
    dismiss(list(Problem.objects.values_list("pk", flat=True)), reason="A test", now=NOON)
    tell_of_causes_task()
    assert not ToldCause.objects.exists()
    send(customer="nobody")
    process()
    tell_of_causes_task()
    assert len(told("problem.opened")) == 2


def test_many_causes_are_notified_over_several_calls(monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr(causes, "MOST_AT_ONCE", 4)
    make_feature()
    for number in range(6):
        send(customer=f"nobody-{number}")
    process()
    with django_assert_max_num_queries(12):
        assert notify_new_causes(now=NOON) == 4
    assert notify_new_causes(now=NOON) == 2
    assert notify_new_causes(now=NOON) == 0


# --- Conflicts of event ids ---------------------------------------------------------------------------


def test_a_client_with_many_conflicts_sends_one_webhook():
    make_customer(external_id="acme")
    make_feature()
    for number in range(20):
        send(event_id=f"e{number}", source="gateway")
    process()
    for number in range(20):
        send(event_id=f"e{number}", source="batch", customer="nobody", n=number % 3)
    process()
    tell_of_causes_task()
    tell_of_causes_task()
    [body] = told("conflict.opened")
    conflict = body["conflict"]
    assert (conflict["difference"], conflict["events"], conflict["sources"]) == ("external_customer_id", 20, ["batch"])
    assert (len(conflict["event_ids"]), conflict["api_key_id"]) == (3, None)
    assert not Problem.objects.exists()


def test_conflicts_that_open_again_after_dismissal_are_notified_again():
    make_customer(external_id="acme")
    make_feature()
    for number in range(2):
        send(event_id="e1", n=number)
        process()
        tell_of_causes_task()
    assert len(told("conflict.opened")) == 1
    dismiss_conflicts(DuplicateEvent.objects.all(), reason="A test", now=NOON)
    tell_of_causes_task()
    assert not NotifiedConflict.objects.exists()
    send(event_id="e1", n=7)
    process()
    tell_of_causes_task()
    assert len(told("conflict.opened")) == 2


# --- Usage alerts -------------------------------------------------------------------------------------


@pytest.fixture
def subscription():
    return make_subscription(customer=make_customer(external_id="acme"), starts_at=NOON - timedelta(days=3))


def test_an_alert_is_sent_once_per_period_when_its_quantity_is_reached(subscription):
    calls = make_feature()
    alert = make_alert(subscription, calls, Decimal(3), by=None)
    for _ in range(2):
        send(at=NOON)
    process()
    assert check_alerts(now=NOON + HOUR) == 0
    send(at=NOON)
    process()
    assert check_alerts(now=NOON + HOUR) == 1
    assert check_alerts(now=NOON + HOUR) == 0
    (body,) = told("usage.threshold_reached")
    assert body["usage"]["alert_id"] == alert.public_id
    assert (body["usage"]["threshold"], body["usage"]["quantity"]) == ("3", "3")
    assert body["usage"]["external_customer_id"] == "acme"

    later = NOON + timedelta(days=31)
    assert check_alerts(now=later) == 0
    for _ in range(4):
        send(at=later)
    process()
    assert check_alerts(now=later + HOUR) == 1
    assert [f"{one.quantity:f}" for one in UsageAlertFiring.objects.order_by("pk")] == ["3", "4"]


def test_a_threshold_crossed_in_the_last_minute_of_a_period_is_reported(subscription):
    calls = make_feature()
    make_alert(subscription, calls, Decimal(2), by=None)
    end = subscription.started_at + timedelta(days=31)  # 7 March to 7 April
    send(at=end - HOUR)
    process()
    assert check_alerts(now=end - timedelta(minutes=2)) == 0
    send(at=end - timedelta(seconds=30))
    process()
    assert check_alerts(now=end + timedelta(minutes=1)) == 1
    assert check_alerts(now=end + timedelta(minutes=2)) == 0
    (firing,) = UsageAlertFiring.objects.all()
    assert (firing.period_start, firing.period_end, firing.quantity) == (subscription.started_at, end, 2)


def test_a_period_is_looked_at_for_a_day_after_its_end(subscription):
    calls = make_feature()
    make_alert(subscription, calls, Decimal(1), by=None)
    end = subscription.started_at + timedelta(days=31)
    assert check_alerts(now=end - HOUR) == 0
    assert check_alerts(now=end + HOUR) == 0
    send(at=end - HOUR)  # it arrives late
    process()
    assert check_alerts(now=end + timedelta(hours=23)) == 1


def test_every_period_since_the_last_check_is_looked_at(subscription):
    calls = make_feature()
    make_alert(subscription, calls, Decimal(1), by=None)
    assert check_alerts(now=NOON) == 0
    first, third = subscription.started_at + timedelta(days=2), subscription.started_at + timedelta(days=70)
    for at in (first, third):
        send(at=at)
    process()
    assert check_alerts(now=NOON + timedelta(days=120)) == 2
    assert check_alerts(now=NOON + timedelta(days=121)) == 0


def test_the_last_minute_before_a_subscriptions_end_is_looked_at(subscription):
    calls = make_feature()
    make_alert(subscription, calls, Decimal(1), by=None)
    assert check_alerts(now=NOON) == 0
    end = NOON + timedelta(days=5)
    subscription.ended_at = end
    subscription.save()
    send(at=end - timedelta(seconds=10))
    process()
    assert check_alerts(now=end + timedelta(minutes=1)) == 1
    assert check_alerts(now=end + timedelta(days=40)) == 0


def test_periods_before_an_alert_was_created_or_enabled_are_not_looked_at(subscription):
    calls = make_feature()
    send(at=NOON)
    process()
    alert = make_alert(subscription, calls, Decimal(1), by=None)
    later = NOON + timedelta(days=40)
    alert.checked_until = later - HOUR
    alert.save()
    assert check_alerts(now=later) == 0
    set_enabled(alert, False, by=None, now=later)
    send(at=later)
    process()
    much_later = later + timedelta(days=60)
    set_enabled(alert, True, by=None, now=much_later)
    assert check_alerts(now=much_later + HOUR) == 0


def test_a_running_total_reaches_its_threshold_once(subscription):
    storage = make_feature(event_name="storage", field="gb", reset="cumulative")
    make_alert(subscription, storage, Decimal(10), by=None)
    send("storage", at=NOON, gb=12)
    process()
    assert check_alerts(now=NOON + HOUR) == 1
    for days in (31, 62, 93):
        assert check_alerts(now=NOON + timedelta(days=days)) == 0
    # It falls to 7 and rises to 11 again.
    send("storage", at=NOON + timedelta(days=94), gb=-5)
    process()
    assert check_alerts(now=NOON + timedelta(days=95)) == 0
    send("storage", at=NOON + timedelta(days=125), gb=4)
    process()
    assert check_alerts(now=NOON + timedelta(days=126)) == 1
    assert [f"{one.quantity:f}" for one in UsageAlertFiring.objects.order_by("pk")] == ["12", "11"]


def test_a_running_total_above_the_threshold_before_the_alert_is_reported_once(subscription):
    storage = make_feature(event_name="storage", field="gb", reset="cumulative")
    send("storage", at=NOON, gb=12)
    process()
    make_alert(subscription, storage, Decimal(10), by=None)
    assert check_alerts(now=NOON + timedelta(days=31)) == 1
    assert check_alerts(now=NOON + timedelta(days=70)) == 0


def test_disabled_alerts_and_ended_subscriptions_send_nothing(subscription):
    calls = make_feature()
    alert = make_alert(subscription, calls, Decimal(1), by=None)
    send(at=NOON)
    process()
    alert.is_enabled = False
    alert.save()
    check_alerts_task()
    assert check_alerts(now=NOON + HOUR) == 0
    alert.is_enabled = True
    alert.save()
    subscription.ended_at = NOON
    subscription.save()
    assert check_alerts(now=NOON + HOUR) == 0


def test_the_number_of_queries_does_not_depend_on_the_number_of_alerts(django_assert_max_num_queries):
    calls = make_feature()
    for number in range(10):
        subscription = make_subscription(customer=make_customer(external_id=f"c-{number}"), starts_at=NOON - HOUR)
        make_alert(subscription, calls, Decimal(1), by=None)
        send(customer=f"c-{number}", at=NOON)
    process()
    with django_assert_max_num_queries(16):
        assert check_alerts(now=NOON + HOUR) == 10


def test_a_feature_without_usage_cannot_have_an_alert(subscription):
    with pytest.raises(NotMetered):
        make_alert(subscription, make_feature(kind="boolean", event_name="", aggregation=""), Decimal(1), by=None)


def test_alerts_are_managed_through_the_api(api, subscription):
    calls = make_feature()
    asked = {"subscription_id": subscription.public_id, "feature_id": calls.public_id, "threshold": "1000.5"}
    made = api.post("alerts", asked, 201)
    assert (made["threshold"], made["is_enabled"]) == ("1000.5", True)
    assert api.post("alerts", asked, 409)["code"] == "already_exists"
    assert "threshold" in api.post("alerts", asked | {"threshold": "0"}, 400)["message"]
    assert api.put(f"alerts/{made['id']}", {"is_enabled": False})["is_enabled"] is False
    assert [one["id"] for one in api.get("alerts", subscription_id=subscription.public_id)["items"]] == [made["id"]]
    api.delete(f"alerts/{made['id']}", status=204)
    api.get(f"alerts/{made['id']}", 404)


def test_staff_add_an_alert_and_see_when_it_was_reached(staff_client, subscription):
    calls = make_feature()
    given = {"subscription": subscription.pk, "feature": calls.pk, "threshold": "1", "is_enabled": "on"}
    staff_client.post("/admin/events/usagealert/add/", given)
    send(at=NOON)
    process()
    assert check_alerts(now=NOON + HOUR) == 1
    (alert,) = subscription.usage_alerts.all()
    assert alert.created_by.username == "staff"
    page = staff_client.get(f"/admin/events/usagealert/{alert.pk}/change/").content.decode()
    assert "2026-03-07 – 2026-04-07" in page
    given["feature"] = make_feature(kind="boolean", event_name="", aggregation="").pk
    refused = staff_client.post("/admin/events/usagealert/add/", given).content.decode()
    assert "This feature isn&#x27;t metered, so it has no usage." in refused
    assert staff_client.get("/admin/events/usagealert/").status_code == 200
