"""Sections 4 and 6 of the guide: refused requests and duplicate events."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from events.access import refused_requests
from events.access.keys import make_key, revoke
from events.models import Event, InboxEvent
from tests.scenarios.guide import Guide, make_guide

pytestmark = pytest.mark.django_db
GOOD = {"event_name": "model.usage", "external_customer_id": "acme", "properties": {"credits": 2}}


@pytest.fixture
def guide(staff_client) -> Guide:
    return make_guide(staff_client)


def refused(guide: Guide, status: int, **request) -> str:
    """Send a request that is refused, and return the live view that lists it."""
    answer = guide.send(**request)
    assert answer.status_code == status, answer.content
    refused_requests.flush()
    assert not InboxEvent.objects.exists()
    return guide.page()


def counts_now(guide: Guide) -> None:
    """Send the event correctly: it counts, and the upcoming invoice includes its 2 credits × $0.50."""
    assert guide.due() == 0
    assert guide.is_counted(guide.accepted())
    assert guide.due() == Decimal("1.00")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"external_customer_id": "acme"}', "event_name is required"),
        (b'{"event_name": "model.usage"}', "external_customer_id is required"),
        (b'{"event_name": ', "body is not valid JSON"),
        (
            b'{"event_name": "model.usage", "external_customer_id": "acme", "timestamp": "yesterday"}',
            "timestamp must be",
        ),
        (b'{"event_name": 7, "external_customer_id": "acme"}', "event_name must be a string"),
    ],
)
def test_4a_a_malformed_request_names_its_field(guide, body, said):
    page = refused(guide, 400, raw=body)
    assert said in page
    assert "Correct the named field." in page
    counts_now(guide)


def test_4a_a_batch_with_a_malformed_event_is_refused(guide):
    body = json.dumps({"events": [GOOD, {"event_name": "model.usage"}]}).encode()
    assert "external_customer_id is required" in refused(guide, 400, raw=body, path="/v1/events/bulk")


def test_4b_missing_wrong_revoked_and_expired_keys_have_different_messages(guide):
    now = timezone.now()
    revoked_key, revoked = make_key("revoked")
    revoke(revoked_key, now=now)
    _, expired = make_key("expired", expires_at=now - timedelta(days=1))
    for key, said in (
        ("", "No API key was sent"),
        ("sk_" + "x" * 43, "The API key is not known."),
        (revoked, "was revoked on"),
        (expired, "expired on"),
    ):
        page = refused(guide, 401, key=key, **GOOD)
        assert said in page
    assert "Use an active key." in page
    counts_now(guide)


def test_4b_a_key_without_the_scope_gets_its_name(guide):
    _, reader = make_key("reader", scopes=["read"])
    assert "The API key lacks the scope events:write." in refused(guide, 403, key=reader, **GOOD)
    counts_now(guide)


def test_4c_too_many_requests_say_how_to_continue(guide):
    _, slow = make_key("slow", single_per_minute=1)
    assert guide.send(key=slow, **GOOD).status_code == 202
    answer = guide.send(key=slow, **GOOD)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    refused_requests.flush()
    assert "back off exponentially" in guide.page()


def test_6_a_retried_request_counts_once(guide):
    first = guide.accepted(event_id="e-1")
    guide.accepted(event_id="e-1")
    page = guide.page(first)
    assert "The same event_id came again with the same content. It counts once." in page
    assert guide.due() == Decimal("1.00")


def test_6_a_duplicate_with_different_content_shows_both(guide):
    guide.accepted(event_id="e-1")
    guide.accepted(event_id="e-1", properties={"credits": 9})
    page = guide.page("e-1")
    assert "Duplicate, different content" in page
    assert "properties.credits" in page
    assert guide.due() == Decimal("1.00")


def test_6_two_sources_of_an_event_are_distinguished(guide):
    guide.accepted(event_id="e-1", source="gateway")
    guide.accepted(event_id="e-1", source="nightly-batch")
    assert "source nightly-batch" in guide.page("e-1")
    assert guide.due() == Decimal("1.00")


def test_a_refused_id_was_never_accepted(guide):
    guide.send(**GOOD, event_id="e-1", key="sk_" + "x" * 43)
    assert "Never accepted" in guide.page("e-1")
    assert not Event.objects.exists()
