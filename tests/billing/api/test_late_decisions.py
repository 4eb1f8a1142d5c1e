"""Decisions about late usage through the API: approve, waive, reopen, and the company's policy."""

import pytest
from auditlog.models import LogEntry

from billing.models import LateAdjustment, LateLimit, LatePolicy
from config.personal_data.entries import read_entry
from tests.api import Api
from tests.billing.late import adjustments, arrive_many, invoice_at, work_late
from tests.billing.world import D, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER = utc(2026, 9, 1), utc(2026, 10, 1)
IN_SEPTEMBER, IN_OCTOBER = utc(2026, 9, 20, 9), utc(2026, 10, 20, 9)
HOLDING = {"more_due": "hold", "less_due": "hold", "limits": []}


@pytest.fixture
def late(api: Api) -> LateAdjustment:
    """Two late calls at $0.25, waiting for approval."""
    api.put("late-adjustments/policy", HOLDING)
    calls = make_feature(name="API calls")
    version = make_version({"feature": calls, "unit_amount": D("0.25")})
    customer = make_customer(name="Acme", external_id="acme")
    subscription = make_subscription(customer=customer, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)
    arrive_many(4, IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive_many(2, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    [adjustment] = adjustments(subscription)
    assert adjustment.state == "held"
    return adjustment


def test_an_approved_difference_is_billed_on_the_next_invoice(api, late):
    ids = {"late_adjustment_ids": [late.public_id]}
    decided = api.post("late-adjustments/approve", ids)
    assert (decided["items"][0]["state"], decided["items"][0]["amount"], decided["skipped"]) == ("waiting", "0.50", [])
    assert api.post("late-adjustments/approve", ids) == {"items": [], "skipped": [late.public_id]}


def test_a_waived_difference_keeps_its_reason_and_can_be_reopened(api, late):
    ids = {"late_adjustment_ids": [late.public_id]}
    assert "reason" in api.post("late-adjustments/waive", ids, status=400)["details"]
    waived = api.post("late-adjustments/waive", ids | {"reason": "Agreed by phone"})
    assert (waived["items"][0]["state"], waived["items"][0]["reason"]) == ("ignored", "Agreed by phone")
    entry = read_entry(LogEntry.objects.filter(object_pk=str(late.pk)).latest("pk"))
    assert entry.additional_data["reason"] == "Agreed by phone"
    assert entry.additional_data["api_key"].startswith("Test (sk_")
    reopened = api.post("late-adjustments/reopen", ids)
    assert [(row["state"], row["amount"]) for row in reopened["items"]] == [("held", "0.50")]
    assert reopened["skipped"] == []
    assert api.post("late-adjustments/reopen", ids) == {"items": [], "skipped": [late.public_id]}


def test_an_unknown_adjustment_decides_nothing(api, late):
    ids = {"late_adjustment_ids": [late.public_id, "late_none"]}
    assert (
        api.post("late-adjustments/approve", ids, status=404)["message"] == "There is no late adjustment “late_none”."
    )
    late.refresh_from_db()
    assert late.state == "held"
    Api("read", "customers:write").post("late-adjustments/approve", ids, status=403)


def test_the_policy_is_read_and_replaced(api, db):
    assert api.get("late-adjustments/policy") == {"more_due": "next_invoice", "less_due": "next_invoice", "limits": []}
    limits = [{"currency": "usd", "amount": "1.00"}, {"currency": "EUR", "amount": "2"}]
    changed = api.put("late-adjustments/policy", HOLDING | {"limits": limits})
    expected = [{"currency": "EUR", "amount": "2.00"}, {"currency": "USD", "amount": "1.00"}]
    assert changed == HOLDING | {"limits": expected} == api.get("late-adjustments/policy")
    api.put("late-adjustments/policy", HOLDING | {"limits": [{"currency": "USD", "amount": "3"}]})
    assert [(limit.currency, limit.amount) for limit in LateLimit.objects.all()] == [("USD", D(3))]
    assert LatePolicy.objects.get().more_due == "hold"


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ([{"currency": "USD", "amount": "0"}], "limits[0].amount"),
        ([{"currency": "XYZ", "amount": "1"}], "limits[0].currency"),
        ([{"currency": "USD", "amount": "1"}, {"currency": "usd", "amount": "2"}], "limits"),
    ],
)
def test_wrong_limits_are_refused(api, limits, field):
    assert field in api.put("late-adjustments/policy", HOLDING | {"limits": limits}, status=400)["details"]
