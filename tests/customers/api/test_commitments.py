"""Commitments of a whole subscription through the API: at the start, later, as used so far, and ended."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing.models import Invoice
from catalog.models import Feature, PlanVersion
from config.approvals.kinds import ApprovalKind
from customers.models import Commitment, Subscription
from tests.api import Api
from tests.approving import require
from tests.billing.late import arrive_many
from tests.billing.world import D
from tests.factories import make_customer, make_feature, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def plan() -> PlanVersion:
    calls: Feature = make_feature(name="Calls")
    make_customer(external_id="acme")
    return make_version({"feature": calls, "unit_amount": D(1)})


def create(api: Api, plan: PlanVersion, *, status: int = 201, **values: Any) -> Any:
    body = {
        "external_customer_id": "acme", "plan_id": plan.plan.public_id, "currency": "USD", "billing_period": "MONTHLY",
        "start_date": (timezone.now() - timedelta(days=3)).isoformat(),
    }  # fmt: skip
    return api.post("subscriptions", body | values, status=status)


def test_a_subscription_starts_with_a_prepaid_commitment(api, plan):
    terms = {
        "commitment_amount": "1200", "commitment_duration": "ANNUAL", "commitment_invoice_cadence": "ADVANCE",
        "overage_factor": "1.5",
    }  # fmt: skip
    made = create(api, plan, **terms)
    assert {name: made[name] for name in terms} == terms
    assert made["enable_true_up"] is False
    assert Invoice.objects.get().total == D("1200.00")

    arrive_many(3, timezone.now() - timedelta(hours=1))
    (item,) = api.get(f"subscriptions/{made['id']}/commitments")["items"]
    assert (item["billing_periods"], item["commitment_amount"]) == (12, "1200")
    amounts = {"amount": "1200.00", "used_amount": "3.00", "remaining_amount": "1197.00", "overage_amount": "0.00"}
    assert amounts.items() <= item["current_term"].items()
    usage = api.post("subscriptions/usage", {"subscription_id": made["id"]}, status=200)
    assert (usage["commitment_amount"], usage["commitment_utilized"], usage["overage_factor"]) == (1200, 3, 1.5)
    assert (usage["has_overage"], usage["overage_amount"]) == (False, 0)


def test_a_minimum_is_agreed_later_and_ended(api, plan):
    path = f"subscriptions/{create(api, plan)['id']}"
    minimum = {"commitment_amount": "60", "commitment_duration": "QUARTERLY", "enable_true_up": True}
    made = api.post(f"{path}/commitments", minimum, status=201)
    assert api.post(f"{path}/commitments", minimum, status=201)["id"] == made["id"]
    assert api.get(path)["enable_true_up"] is True
    other = api.post(f"{path}/commitments", minimum | {"commitment_amount": "70"}, status=400)
    assert "Another commitment applies" in other["message"]

    within = {"end_date": (timezone.now() + timedelta(days=2)).isoformat()}
    assert "No billing period starts" in api.post(f"{path}/commitments/{made['id']}/end", within, status=400)["message"]
    ended = api.post(f"{path}/commitments/{made['id']}/end", {}, status=200)
    assert ended["end_date"] == api.get(path)["current_period_end"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"commitment_amount": "60"}, "commitment_amount"),
        ({"commitment_amount": "0", "enable_true_up": True}, "commitment_amount"),
        ({"commitment_amount": "60", "enable_true_up": True, "commitment_duration": "WEEKLY"}, "commitment_duration"),
        (
            {"commitment_amount": "60", "enable_true_up": True, "commitment_invoice_cadence": "ADVANCE"},
            "enable_true_up",
        ),
        ({"overage_factor": "2"}, "overage_factor"),
    ],
)
def test_what_contradicts_itself_is_refused(api, plan, fields, named):
    assert named in create(api, plan, status=400, **fields)["details"]
    assert not Subscription.objects.exists()


def test_a_commitment_waits_for_approval_where_prices_do(api, plan):
    path = f"subscriptions/{create(api, plan)['id']}/commitments"
    require(ApprovalKind.PRICES)
    api.post(path, {"commitment_amount": "60", "enable_true_up": True}, status=202)
    assert not Commitment.objects.exists()
