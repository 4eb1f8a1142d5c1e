import datetime as dt
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from customers.models import Subscription
from customers.subscriptions import cancel, get_phases, pause
from tests.admin_pages import submit, url
from tests.factories import make_customer, make_plan, make_subscription, make_version

pytestmark = pytest.mark.django_db

TERMS = {
    "interval": "month",
    "interval_count": "1",
    "alignment": "anniversary",
    "prorate": "on",
    "starts_on": "2026-03-01",
}


def running(**given: object) -> Subscription:
    """Make a subscription that runs since three days, whenever the test runs."""
    return make_subscription(**{"starts_at": timezone.now() - timedelta(days=3)} | given)


def test_a_subscription_starts_at_midnight_in_the_customers_time_zone(staff_client, staff_user):
    customer = make_customer(timezone="America/New_York")
    answers = {
        "customer": customer.pk,
        "plan": make_plan(name="Basic").pk,
        **TERMS,
        "trial_days": "14",
        "reason": "Order 7",
    }

    response = staff_client.post(url("customers_subscription_add"), answers)

    subscription = Subscription.objects.get()
    assert response.status_code == 302
    assert (subscription.started_at, subscription.currency) == (datetime(2026, 3, 1, 5, tzinfo=UTC), "USD")
    assert [phase.kind for phase in get_phases(subscription)] == ["trial", "active"]
    assert (get_phases(subscription)[0].reason, subscription.created_by) == ("Order 7", staff_user)


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"currency": "EUR"}, "has no price in EUR monthly. Available prices: USD monthly."),
        ({"interval": "year"}, "has no price in USD annual"),
        ({"ends_on": "2026-02-01"}, "The subscription ends before it starts."),
        ({"currency": "usd!"}, "at most 3 characters"),
        ({"starts_on": ""}, "This field is required"),
    ],
)
def test_an_invalid_subscription_shows_the_error_on_the_form(staff_client, terms, words):
    answers = {"customer": make_customer().pk, "plan": make_plan().pk, **TERMS, **terms}

    page = staff_client.post(url("customers_subscription_add"), answers)

    assert words in page.content.decode()
    assert not Subscription.objects.exists()


def test_a_refused_subscription_publishes_no_draft(staff_client):
    plan = make_version({"currency": "EUR"}).plan
    plan.versions.model.objects.create(plan=plan, number=2)
    answers = {"customer": make_customer().pk, "plan": plan.pk, **TERMS}

    page = staff_client.post(url("customers_subscription_add"), answers).content.decode()

    assert "has no price in USD" in page
    assert plan.versions.get(number=2).state == "draft"


def test_the_lookup_key_is_unique(staff_client):
    running(key="main")
    answers = {"customer": make_customer().pk, "plan": make_plan().pk, **TERMS, "key": "main"}

    assert "already exists" in staff_client.post(url("customers_subscription_add"), answers).content.decode()


def test_the_plan_changes_now_with_a_reason(staff_client, staff_user):
    subscription, pro = running(), make_plan(name="Pro")
    address = url("customers_subscription_change_plan", subscription.pk)

    assert "Pro" in staff_client.get(address).content.decode()
    assert "This field is required" in submit(staff_client, address, plan=pro.pk, when="now").content.decode()
    submit(staff_client, address, plan=pro.pk, when="now", reason="Upgrade")

    latest = get_phases(subscription)[1]
    assert (latest.plan_version.plan, latest.reason, latest.recorded_by) == (pro, "Upgrade", staff_user)


def test_the_plan_changes_at_midnight_in_the_customers_time_zone(staff_client):
    subscription = running(customer=make_customer(timezone="Asia/Tokyo"))
    day = timezone.now().date() + dt.timedelta(days=40)
    address = url("customers_subscription_change_plan", subscription.pk)

    answers = {"plan": make_plan().pk, "when": "date", "reason": "Agreed"}
    assert "Enter a date" in submit(staff_client, address, **answers).content.decode()
    submit(staff_client, address, **answers, day=day.isoformat())

    # Tokyo is nine hours ahead of UTC, all year.
    expected = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=9)
    assert get_phases(subscription)[1].starts_at == expected


def test_a_refused_change_shows_the_error_and_changes_nothing(staff_client):
    subscription = running()
    plan = make_version({"currency": "EUR"}, name="Euro plan").plan

    dialog = submit(
        staff_client, url("customers_subscription_change_plan", subscription.pk), plan=plan.pk, when="now", reason="Try"
    ).content.decode()

    assert "Euro plan v1 has no price in USD monthly" in dialog
    assert "Try</textarea>" in dialog
    assert get_phases(subscription).count() == 1


def test_a_cancellation_at_the_periods_end_can_be_withdrawn(staff_client):
    subscription = running()
    page = url("customers_subscription_change", subscription.pk)
    withdraw = url("customers_subscription_withdraw", subscription.pk)
    assert withdraw not in staff_client.get(page).content.decode()
    assert submit(staff_client, withdraw, reason="?").status_code == 403

    submit(staff_client, url("customers_subscription_cancel", subscription.pk), when="period_end", reason="Moves away")
    subscription.refresh_from_db()
    assert subscription.ended_at is not None
    assert subscription.ended_at > timezone.now() + timedelta(days=20)

    assert withdraw in staff_client.get(page).content.decode()
    submit(staff_client, withdraw, reason="Stays after all")
    assert Subscription.objects.filter(ended_at=None, cancelled_at=None).exists()


def test_one_of_several_scheduled_changes_is_withdrawn(staff_client):
    subscription, now = running(), timezone.now()
    pause(subscription, at=now + timedelta(days=5), now=now, by=None)
    cancel(subscription, at=now + timedelta(days=9), now=now, by=None)
    withdraw = url("customers_subscription_withdraw", subscription.pk)
    (key,) = re.findall(r'value="(pause:[^"]+)"', staff_client.get(withdraw).content.decode())

    submit(staff_client, withdraw, scheduled=key, reason="No break")

    assert [phase.kind for phase in get_phases(subscription)] == ["active"]
    subscription.refresh_from_db()
    assert subscription.ended_at == now + timedelta(days=9)


def test_cancelling_now_ends_the_subscription(staff_client):
    subscription = running()

    submit(staff_client, url("customers_subscription_cancel", subscription.pk), when="now", reason="Bankrupt")

    subscription.refresh_from_db()
    assert subscription.ended_at is not None
    assert subscription.ended_at <= timezone.now()
    for verb in ("cancel", "change_plan", "pause", "resume", "withdraw"):
        assert staff_client.get(url(f"customers_subscription_{verb}", subscription.pk)).status_code == 403


def test_a_pause_begins_now_and_is_resumed(staff_client):
    subscription = running()

    submit(staff_client, url("customers_subscription_pause", subscription.pk), reason="Unpaid")
    assert [phase.kind for phase in get_phases(subscription)] == ["active", "paused"]
    submit(staff_client, url("customers_subscription_resume", subscription.pk), reason="Paid")
    assert [phase.kind for phase in get_phases(subscription)] == ["active", "paused", "active"]


def test_terms_used_for_billing_are_read_only(staff_client):
    subscription = running()
    answers = {"currency": "EUR", "started_at_0": "2020-01-01", "net_days": "15", "prorate": "on", "key": ""}

    staff_client.post(url("customers_subscription_change", subscription.pk), answers)

    subscription.refresh_from_db()
    assert (subscription.currency, subscription.net_days, subscription.key) == ("USD", 15, None)


def test_subscribing_opens_the_subscription_and_mentions_the_next_invoice(staff_client):
    customer = make_customer(name="Acme")
    answers = {"customer": customer.pk, "plan": make_plan(name="Basic").pk, **TERMS}
    answer = staff_client.post(url("customers_subscription_add"), answers, follow=True)
    assert answer.redirect_chain[-1][0] == Subscription.objects.get().get_absolute_url()
    assert f"{customer} is subscribed." in answer.content.decode()
