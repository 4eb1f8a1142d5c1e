"""Publishing prices of live subscriptions asks for a recent simulation, and above limits for a second person."""

from datetime import timedelta

import pytest

from billing.models.company import save_profile
from billing.simulation.guard import SimulationNeeded
from billing.simulation.running import SimulationInputs, start_simulation
from catalog.models import Price
from catalog.publishing import get_or_create_draft, publish
from config.approvals.gate import ApprovalNeeded
from config.approvals.kinds import ApprovalKind
from tests.billing.simulations import simulate_to_end
from tests.billing.world import D, bill, utc
from tests.factories import make_subscription, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER = utc(2026, 9, 1), utc(2026, 10, 1)
FEE = {"kind": "fixed", "model": "flat", "cadence": "arrears", "unit_amount": D(30)}


@pytest.fixture
def draft():
    """Return a draft with a fee of $36.00, 20% more than two customers pay now."""
    plan = make_version(FEE, now=SEPTEMBER, name="Team").plan
    for _ in range(2):
        make_subscription(plan=plan, starts_at=SEPTEMBER, now=SEPTEMBER)
    bill(OCTOBER)
    version = get_or_create_draft(plan, by=None, held=True)
    Price.objects.filter(version=version).update(unit_amount=D(36))
    return version


def simulate(draft, at=OCTOBER, **inputs):
    inputs = {"version": draft, "plan": draft.plan} | inputs
    simulate_to_end(start_simulation(SimulationInputs(**inputs), now=at, by=None), now=at)


def test_nothing_is_asked_without_a_limit_of_days(draft):
    assert publish(draft, now=OCTOBER, by=None).is_published


def test_nothing_is_asked_for_a_plan_without_live_subscriptions(draft):
    save_profile({"simulation_days": 7}, by=None)
    new = get_or_create_draft(make_version(FEE, now=SEPTEMBER).plan, by=None)
    assert publish(new, now=OCTOBER, by=None).is_published


def test_a_simulation_is_asked_for_and_counts_for_days(draft):
    save_profile({"simulation_days": 7}, by=None)
    with pytest.raises(SimulationNeeded, match=r"Team has 2 live subscriptions\. Simulate Team v2"):
        publish(draft, now=OCTOBER, by=None)
    simulate(draft)
    with pytest.raises(SimulationNeeded):
        publish(draft, now=OCTOBER + timedelta(days=8), by=None)
    assert publish(draft, now=OCTOBER + timedelta(days=7), by=None).is_published


def test_a_simulation_of_other_prices_or_subscriptions_doesnt_count(draft):
    save_profile({"simulation_days": 7}, by=None)
    simulate(draft)
    simulate(draft, version=None)
    Price.objects.filter(version=draft).update(unit_amount=D(37))
    with pytest.raises(SimulationNeeded):
        publish(draft, now=OCTOBER, by=None)
    simulate(draft, plan=None)  # of all subscriptions
    assert publish(draft, now=OCTOBER, by=None).is_published


@pytest.mark.parametrize(
    ("limits", "concern"),
    [
        ({"most_customer_percent": D(20), "most_total_percent": D(20), "most_pay_more": 2}, ""),
        ({"most_customer_percent": D("19.99")}, "What a customer pays in USD would change by more than 19.99%."),
        ({"most_total_percent": D("19.99")}, "The total in USD would change by more than 19.99%."),
        ({"most_pay_more": 1}, "2 customers would pay more; the limit is 1."),
    ],
)
def test_a_second_person_approves_above_the_limits(draft, limits, concern):
    save_profile({"simulation_days": 7} | limits, by=None)
    simulate(draft)
    if not concern:
        assert publish(draft, now=OCTOBER, by=None).is_published
        return
    with pytest.raises(ApprovalNeeded) as needed:
        publish(draft, now=OCTOBER, by=None)
    assert needed.value.rule == ApprovalKind.PRICES
    assert concern in needed.value.action.effect.splitlines()
    draft.refresh_from_db()
    assert not draft.is_published


def test_what_cant_be_simulated_exceeds_any_limit(draft):
    save_profile({"simulation_days": 7, "most_pay_more": 100}, by=None)
    Price.objects.filter(version=draft).update(currency="EUR")
    simulate(draft)
    with pytest.raises(ApprovalNeeded) as needed:
        publish(draft, now=OCTOBER, by=None)
    assert "2 subscriptions couldn't be simulated." in needed.value.action.effect.splitlines()
    save_profile({"most_pay_more": None}, by=None)
    assert publish(draft, now=OCTOBER, by=None).is_published


def test_the_limits_are_set_by_api_and_switched_off_again(api, draft):
    body = {"simulation_days": 7, "most_customer_percent": "12.50"}
    answer = api.put("company", body)
    assert (answer["simulation_days"], answer["most_customer_percent"], answer["most_pay_more"]) == (7, "12.50", None)
    assert api.put("company", {"simulation_days": None})["simulation_days"] is None
    assert publish(draft, now=OCTOBER, by=None).is_published
