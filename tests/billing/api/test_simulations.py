"""Simulations through the API: start, results, cancel, and refused inputs."""

import pytest

from billing.models import Simulation
from catalog.models import Price
from catalog.publishing import get_or_create_draft
from tests.billing.adjusting import make_coupon
from tests.billing.simulations import simulate_to_end
from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER = utc(2026, 9, 1), utc(2026, 10, 1)
FEE = {"kind": "fixed", "model": "flat", "cadence": "arrears", "unit_amount": D(30), "name": "Platform"}


@pytest.fixture
def plan():
    """Return the plan of Acme, billed for September: $30.00 and 500 calls at $0.01."""
    calls = make_feature(name="API calls")
    plan = make_version(FEE, {"feature": calls, "unit_amount": D("0.01")}, now=SEPTEMBER, name="Team").plan
    customer = make_customer(external_id="acme", name="Acme")
    make_subscription(customer=customer, plan=plan, starts_at=SEPTEMBER, now=SEPTEMBER)
    use(customer, calls, utc(2026, 9, 5), 500)
    bill(OCTOBER)
    draft = get_or_create_draft(plan, by=None, held=True)
    Price.objects.filter(version=draft, kind="fixed").update(unit_amount=D(25))
    return plan


def finish(started):
    simulate_to_end(Simulation.objects.get(public_id=started["id"]), now=OCTOBER)


def test_a_draft_is_simulated_and_its_results_are_listed(api, plan):
    body = {"plan_version": {"plan_id": plan.public_id}, "selection": {"plan_id": plan.public_id}, "limit_percent": "5"}
    started = api.post("simulations", body, 202)
    assert (started["title"], started["state"], started["done"], started["version"]) == ("Team v2", "running", 0, 2)
    finish(started)
    [figures] = api.get(f"simulations/{started['id']}")["results"]
    names = ("currency", "invoiced", "simulated", "change", "pay_less", "over_limit", "causes")
    assert [figures[name] for name in names] == [
        *("USD", "35.00", "30.00", "-5.00", 1, 1),
        [{"cause": "price", "amount": "-5.00"}],
    ]
    [row] = api.get(f"simulations/{started['id']}/results?exceeds_limit=true&external_customer_id=acme")["items"]
    assert (row["invoiced"], row["simulated"], row["change"], row["problem"]) == ("35.00", "30.00", "-5.00", "")
    assert row["lines"] == [
        {"kind": "fee", "name": "Platform", "invoiced": "30", "simulated": "25"},
        {"kind": "usage", "name": "API calls", "invoiced": "5", "simulated": "5"},
    ]
    [part] = row["parts"]
    assert (part["cause"], part["name"], part["amount"]) == ("price", "Platform", "-5")
    assert api.get(f"simulations/{started['id']}/results?has_problem=true")["items"] == []
    assert [row["id"] for row in api.get("simulations")["items"]] == [started["id"]]


def test_a_simulation_is_canceled(api, plan):
    started = api.post("simulations", {"periods": 1}, 202)
    assert (started["title"], started["change"], started["selection"]) == ("Present prices", "present", "all")
    assert api.post(f"simulations/{started['id']}/cancel", {})["state"] == "canceled"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"periods": 0}, "greater than or equal to 1"),
        ({"selection": {"metadata_key": "tier"}}, "both metadata_key and metadata_value"),
        ({"selection": {"metadata_key": "tier", "metadata_value": "gold"}}, "No live subscription"),
        ({"selection": {"subscription_ids": ["subs_x"]}}, "There is no subscription subs_x"),
    ],
)
def test_inputs_that_dont_fit_are_refused(api, plan, body, message):
    assert message in str(api.post("simulations", body, 400))
    assert not Simulation.objects.exists()


def test_a_version_and_a_coupon_together_are_refused(api, plan):
    body = {"plan_version": {"plan_id": plan.public_id}, "coupon_id": make_coupon().public_id}
    assert "either a plan version or a coupon" in str(api.post("simulations", body, 400))
