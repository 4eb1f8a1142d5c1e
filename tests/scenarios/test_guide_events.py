"""Sections 1 and 2 of the guide: an event is missing or has a wrong value. Each test fixes it and checks the result."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from catalog.features import archive_feature
from customers.accounts import archive_customer
from customers.models import Customer
from events.models import Problem, ProblemState
from tests.scenarios.guide import Guide, begin, make_guide

pytestmark = pytest.mark.django_db


@pytest.fixture
def guide(staff_client) -> Guide:
    return make_guide(staff_client)


def check_proof(guide: Guide, page: str, event_id: str, due: str) -> None:
    """Check that the fix closed the problem, that the event counts, and the total of the upcoming invoice."""
    assert 'id="proof"' in page
    assert "0 still open" in page
    assert guide.is_counted(event_id)
    assert not Problem.objects.filter(state=ProblemState.OPEN).exists()
    assert guide.due() == Decimal(due)


def test_1a_a_name_in_the_wrong_case_is_mapped(guide):
    event_id = guide.accepted(event_name="Model.Usage")
    page = guide.page(event_id)
    assert "Unknown event name" in page
    assert "“model.usage” differs only in upper and lower case" in page
    assert guide.due() == 0
    # 2 credits × $0.50
    check_proof(guide, guide.fix(event_id, "Count “Model.Usage” as “model.usage”"), event_id, "1.00")


def test_1a_a_filter_mismatch_is_reported_as_such(staff_client):
    guide = make_guide(staff_client, filters={"region": ["eu"]})
    event_id = guide.accepted(properties={"credits": 2, "region": "EU"})
    page = guide.page(event_id)
    assert "No feature's filter matches" in page
    assert "eu; sent: EU" in page
    guide.credits.filters = {"region": ["eu", "EU"]}
    guide.credits.save()
    check_proof(guide, guide.fix(event_id, "Replay the event"), event_id, "1.00")


def test_1b_an_unknown_customer_is_created(guide):
    event_id = guide.accepted(external_customer_id="newcomer")
    assert "No customer has the external customer ID “newcomer” or a similar one." in guide.page(event_id)
    page = guide.fix(event_id, "Create the customer “newcomer”", name="Newcomer", timezone="UTC", currency="")
    check_proof(guide, page, event_id, "0")
    assert Customer.objects.filter(external_id="newcomer", name="Newcomer").exists()


def test_1b_a_customer_id_with_a_typo_is_mapped(guide):
    event_id = guide.accepted(external_customer_id="Acme")
    assert "(Acme) differs only in upper and lower case" in guide.page(event_id)
    check_proof(guide, guide.fix(event_id, "Count “Acme” for Acme"), event_id, "1.00")


def test_1b_an_archived_customer_is_activated(staff_client):
    guide = make_guide(staff_client, is_subscribed=False)
    archive_customer(guide.customer, now=begin(), by=None)
    event_id = guide.accepted()
    assert "Acme was already archived when the event arrived." in guide.page(event_id)
    assert "0 still open" in guide.fix(event_id, "Activate the customer")
    assert guide.is_counted(event_id)


def test_1c_an_archived_feature_is_activated(guide):
    archive_feature(guide.credits, now=begin(), by=None)
    event_id = guide.accepted()
    assert "Credits was already archived when the event arrived, so the event isn't counted." in guide.page(event_id)
    check_proof(guide, guide.fix(event_id, "Activate the feature"), event_id, "1.00")


def test_1c_an_event_before_the_features_start_counts_once_the_start_is_earlier(staff_client):
    guide = make_guide(staff_client, counts_from=timezone.now() - timedelta(hours=1))
    event_id = guide.accepted(timestamp=(timezone.now() - timedelta(hours=5)).isoformat())
    page = guide.page(event_id)
    assert "Before the feature's start" in page
    assert guide.due() == 0
    since = f"{timezone.now() - timedelta(hours=9):%Y-%m-%dT%H:%M}"
    # 2 credits × $0.50
    check_proof(guide, guide.fix(event_id, "Count from an earlier date", since=since), event_id, "1.00")


def test_2a_a_misspelled_field_is_reported_and_the_event_sent_again(guide):
    event_id = guide.accepted(properties={"credit": 2})
    page = guide.page(event_id)
    assert "Aggregation field missing" in page
    assert "The event has “credit”, which differs in one character." in page
    second_id = guide.accepted(properties={"credits": 2})
    assert guide.is_counted(second_id)
    assert guide.due() == Decimal("1.00")


def test_2b_a_numeric_string_counts_once_the_feature_accepts_it(guide):
    event_id = guide.accepted(properties={"credits": "2"})
    page = guide.page(event_id)
    assert 'Sum needs a JSON number; the field holds a string ("2").' in page
    assert guide.due() == 0
    check_proof(guide, guide.fix(event_id, "Accept numeric strings"), event_id, "1.00")


def test_2c_missing_properties_are_reported(guide):
    event_id = guide.accepted(properties={})
    page = guide.page(event_id)
    assert "The event has no properties; Credits needs the field credits." in page
    assert "Guide 2A, 2C" in page
    assert guide.due() == 0
    assert guide.is_counted(guide.accepted(properties={"credits": 2}))
    assert guide.due() == Decimal("1.00")


def test_the_live_view_shows_events_with_their_reasons(guide):
    guide.accepted(event_name="Model.Usage")
    guide.accepted(properties={"credits": "2"})
    guide.accepted()
    page = guide.page()
    for outcome in ("Unknown event name", "Not a number", "Counted"):
        assert outcome in page
