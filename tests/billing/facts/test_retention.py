"""Retention keeps the events that billing still needs."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.facts.retention import oldest_needed
from billing.models import BillingState, Invoice
from events.ledger.retention import prune
from events.models import Event
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature, make_subscription

pytestmark = pytest.mark.django_db
MARCH, APRIL, NOW = (datetime(2026, month, day, tzinfo=UTC) for month, day in ((3, 1), (4, 1), (9, 15)))


def test_a_subscription_that_was_never_billed_needs_all_events_since_its_start():
    make_subscription(starts_at=MARCH)
    assert oldest_needed(NOW) == MARCH


def test_a_billed_subscription_needs_its_open_period_and_a_draft_needs_its_period():
    subscription = make_subscription(starts_at=MARCH)
    BillingState.objects.create(subscription=subscription, billed_until=APRIL)
    assert oldest_needed(NOW) == APRIL
    Invoice.objects.create(
        customer=subscription.customer,
        subscription=subscription,
        kind="cycle",
        currency="USD",
        period_start=MARCH,
        period_end=APRIL,
        computed_at=APRIL,
    )
    assert oldest_needed(NOW) == MARCH


def test_without_subscriptions_no_events_are_needed():
    assert oldest_needed(NOW) is None


def test_pruning_keeps_the_events_of_an_open_period(retention_of_thirty_days):
    make_feature()
    make_subscription(customer=make_customer(external_id="acme"), starts_at=APRIL)
    before, after = APRIL - timedelta(days=1), APRIL + timedelta(days=1)
    send(event_id="old", at=before, received_at=before)
    send(event_id="needed", at=after, received_at=after)
    process()
    assert prune(now=NOW).events == 1
    assert list(Event.objects.values_list("event_id", flat=True)) == ["needed"]
