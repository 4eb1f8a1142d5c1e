"""Dates of plan changes, pauses and their ends through the API, and their previews."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from customers.models import Subscription
from customers.signals import invoice_start
from customers.subscriptions import get_phases
from tests.api import Api
from tests.factories import make_plan, make_subscription, make_version

pytestmark = pytest.mark.django_db
D = Decimal


@pytest.fixture
def subscription() -> Subscription:
    """Make a subscription of $10 a month in advance, whose current period began three days ago."""
    subscription = make_subscription(plan=make_plan(), starts_at=timezone.now() - timedelta(days=3))
    invoice_start(subscription, now=timezone.now())
    return subscription


def phases(subscription: Subscription) -> list[tuple[str, str]]:
    return [(phase.kind, phase.plan_version.plan.name) for phase in get_phases(subscription)]


def test_a_plan_changes_on_a_date(api: Api, subscription):
    plan = make_version({"kind": "fixed", "cadence": "advance", "unit_amount": D(30)}, name="Pro").plan
    at = timezone.now() + timedelta(days=60)
    body = {"target_plan_id": plan.public_id, "effective_date": at.isoformat()}
    address = f"subscriptions/{subscription.public_id}/change"

    preview = api.post(f"{address}/preview", body)
    assert (preview["immediate_invoice"], preview["upcoming_invoice"]["difference"]) == (None, "0.00")
    changed = api.post(f"{address}/execute", body)

    assert (changed["is_scheduled"], changed["schedule_id"] is not None) == (True, True)
    assert [name for _, name in phases(subscription)][1:] == ["Pro"]
    past = body | {"effective_date": (timezone.now() - timedelta(days=1)).isoformat()}
    assert "reason" in api.post(f"{address}/preview", past, status=400)["details"]


def test_a_pause_and_its_end_are_previewed(api: Api, subscription):
    address = f"subscriptions/{subscription.public_id}"

    paused = api.post(f"{address}/pause/preview", {})
    # The rest of the period is credited, and the next isn't charged its $10.00.
    assert D(paused["upcoming_invoice"]["difference"]) < -D(10)
    assert phases(subscription)[0][0] == "active"
    assert len(phases(subscription)) == 1

    api.post(f"{address}/pause", {})
    resume_at = (timezone.now() + timedelta(days=2)).isoformat()
    resumed = api.post(f"{address}/resume/preview", {"resume_at": resume_at})
    assert D(resumed["upcoming_invoice"]["difference"]) > 10
    assert [kind for kind, _ in phases(subscription)] == ["active", "paused"]

    api.post(f"{address}/resume", {"resume_at": resume_at})
    assert [kind for kind, _ in phases(subscription)] == ["active", "paused", "active"]


@pytest.mark.parametrize(
    ("path", "body"),
    [("pause", {"pause_mode": "scheduled"}), ("resume", {}), ("pause", {"proration_behavior": "none"})],
)
def test_a_preview_refuses_what_the_change_refuses(api: Api, subscription, path: str, body: dict[str, Any]):
    address = f"subscriptions/{subscription.public_id}/{path}"
    assert api.post(f"{address}/preview", body, status=400)["details"] == api.post(address, body, status=400)["details"]
