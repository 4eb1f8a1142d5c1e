"""Counted but unbilled usage, as shown on Home."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.cache import caches
from django.urls import reverse

from events.reasons import Reason
from events.usage.unbilled import unbilled
from tests.admin_pages import as_viewer, count_queries
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(hours=2)


@pytest.fixture(autouse=True)
def nothing_kept():
    caches["figures"].clear()


@pytest.fixture
def plan():
    """A plan that prices tokens, but not credits."""
    tokens = make_feature(name="Tokens", event_name="model.usage", field="tokens")
    make_feature(name="Credits", event_name="credit.used", field="credits")
    return make_version({"feature": tokens, "unit_amount": Decimal("0.02")})


def found():
    return [(one.reason, one.feature.name, one.customers, one.events) for one in unbilled(now=LATER, keep=False)]


def test_usage_without_a_subscription_and_features_outside_the_plan_are_listed(plan):
    make_subscription(customer=make_customer(external_id="acme"), plan=plan)
    for name in ("globex", "initech"):
        make_customer(external_id=name)
        send("model.usage", customer=name, tokens=5)
    send("model.usage", tokens=5)
    send("credit.used", credits=1)
    process()
    assert found() == [
        (Reason.NO_SUBSCRIPTION_AT_TIME, "Tokens", 2, 2),
        (Reason.FEATURE_NOT_IN_PLAN, "Credits", 1, 1),
    ]


def test_billed_usage_is_not_listed(plan):
    make_subscription(customer=make_customer(external_id="acme"), plan=plan)
    send("model.usage", tokens=5)
    process()
    assert found() == []


def test_usage_of_earlier_months_is_not_listed(plan):
    make_customer(external_id="acme")
    send("model.usage", at=NOON - timedelta(days=31), tokens=5)
    process()
    assert found() == []


def test_above_the_cap_there_is_more(plan, monkeypatch):
    monkeypatch.setattr("events.usage.unbilled.MOST_PAIRS", 1)
    for name in ("acme", "globex"):
        make_customer(external_id=name)
        send("model.usage", customer=name, tokens=5)
    process()
    assert [(one.customers, one.is_capped) for one in unbilled(now=LATER, keep=False)] == [(1, True)]


def test_home_loads_the_list_and_every_number_is_a_link(plan, staff_client, monkeypatch):
    monkeypatch.setattr("events.admin.pages.unbilled.timezone.now", lambda: LATER)
    make_customer(external_id="acme", name="Acme")
    send("model.usage", tokens=5)
    process()
    panel = reverse("admin:events_unbilled")
    page = " ".join(staff_client.get(panel).content.decode().split())
    assert "No subscription" in page
    assert "1 event</a>" in page
    assert ">Acme</a>" in page


def test_the_number_of_queries_is_constant(plan, staff_client, monkeypatch):
    monkeypatch.setattr("events.usage.unbilled.CACHED_S", 0)
    monkeypatch.setattr("events.admin.pages.unbilled.timezone.now", lambda: LATER)
    panel = reverse("admin:events_unbilled")

    def send_of(number):
        make_customer(external_id=f"c-{number}")
        send("model.usage", customer=f"c-{number}", tokens=5)
        process()

    send_of(1)
    send_of(2)
    few = count_queries(staff_client, panel)
    for number in range(3, 12):
        send_of(number)
    assert count_queries(staff_client, panel) == few


def test_viewing_requires_permission_to_view_events(plan):
    assert as_viewer("catalog").get(reverse("admin:events_unbilled")).status_code == 403
