"""Simulations calculate past invoices again: on present prices they are the same to the cent, on others by hand."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from billing.lifecycle.finalize import finalize_due
from billing.models import CouponApplication, Invoice, SimulationInvoice
from billing.simulation.running import SimulationInputs, start_simulation
from catalog.models import Price
from catalog.publishing import get_or_create_draft
from config.refusals import Refused
from customers.subscriptions import add_addon, change_plan, pause, resume
from events.models import UsageBucket
from tests.billing.adjusting import give, make_coupon, make_tax
from tests.billing.simulations import simulate_to_end
from tests.billing.world import D, bill, use, utc
from tests.demo_company import make_demo_company
from tests.factories import (
    make_addon,
    make_customer,
    make_entitlement,
    make_feature,
    make_price,
    make_subscription,
    make_user,
    make_version,
)

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER, NOVEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1)
FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30)}


@pytest.fixture
def calls():
    return make_feature(name="API calls")


@pytest.fixture
def storage():
    return make_feature(name="Storage")


@pytest.fixture
def plan(calls):
    """Return a plan with a fee of $30.00 in advance and calls at $0.01."""
    return make_version(FEE, {"feature": calls, "unit_amount": D("0.01")}, now=SEPTEMBER, name="Team").plan


@pytest.fixture
def draft(plan, calls, storage):
    """Return the plan's draft: $40.00, calls at $0.02 with 100 free ones, and storage at $0.10."""
    version = get_or_create_draft(plan, by=None, held=True)
    Price.objects.filter(version=version, kind="fixed").update(unit_amount=D(40))
    Price.objects.filter(version=version, feature=calls).update(unit_amount=D("0.02"))
    make_entitlement(version=version, feature=calls, free_units=D(100))
    make_price(version=version, feature=storage, unit_amount=D("0.10"))
    return version


def subscribed(plan, **values):
    return make_subscription(plan=plan, starts_at=SEPTEMBER, now=SEPTEMBER, **values)


def simulate(at=NOVEMBER, **inputs):
    """Simulate from start to finish, and return what was calculated by period."""
    return simulate_to_end(start_simulation(SimulationInputs(**inputs), now=at, by=None), now=at)


def totals(simulation):
    rows = simulation.invoices.order_by("subscription_id", "period_start")
    assert list(rows.exclude(problem="").values_list("problem", flat=True)) == []
    return [(row.invoiced, row.simulated) for row in rows]


def causes(row: SimulationInvoice) -> dict[str, str]:
    return {f"{cause} {name}": amount for cause, name, amount, *_ in row.parts}


def test_invoices_on_a_draft_are_calculated_by_hand(plan, draft, calls, storage):
    acme, _quiet = subscribed(plan), subscribed(plan)
    for day, used in ((utc(2026, 9, 5), 1000), (utc(2026, 10, 5), 1500)):
        use(acme.customer, calls, day, used)
    use(acme.customer, storage, utc(2026, 10, 6), 50)
    bill(SEPTEMBER), bill(OCTOBER), bill(NOVEMBER)
    # Acme, September: opening $30 and $30 for October, 1,000 calls $10.00. On the draft: $40 twice, 900 calls $18.00.
    # October: $30 and 1,500 calls $15.00. On the draft: $40, 1,400 calls $28.00, and 50 of storage $5.00.
    simulation = simulate(version=draft, plan=plan, periods=2)
    assert totals(simulation) == [(D(70), D(98)), (D(45), D(73)), (D(60), D(80)), (D(30), D(40))]
    october = simulation.invoices.get(subscription=acme, period_start=OCTOBER)
    assert causes(october) == {
        "price Team fee": "10",
        "free_units API calls": "-1",  # 1,400 at $0.01
        "price API calls": "14",
        "price Storage": "5",
    }
    assert [line[1:] for line in october.lines if line[0] == "usage"] == [
        ["API calls", "15", "28"],
        ["Storage", "0", "5"],
    ]
    [figures] = simulation.results
    assert [figures[name] for name in ("customers", "periods", "invoiced", "simulated", "change")] == [
        *(2, 4, "205", "291", "86"),
    ]
    assert [figures[name] for name in ("pay_more", "pay_less", "p5", "p50", "p95")] == [2, 0, "30", "30", "56"]
    assert figures["bands"] == [0, 0, 0, 0, 0, 0, 0, 2, 0, 0]


def test_a_window_begins_as_if_its_prices_had_always_been_in_force(plan, draft, calls):
    subscription = subscribed(plan)
    use(subscription.customer, calls, utc(2026, 10, 5), 1500)
    bill(SEPTEMBER), bill(OCTOBER), bill(NOVEMBER)
    # October alone: the fee of October was on September's invoice, so only that of November is on this one.
    assert totals(simulate(version=draft, plan=plan, periods=1)) == [(D(45), D(68))]


def test_present_prices_reproduce_changes_within_a_period(plan, calls):
    other = make_version(FEE | {"unit_amount": D(60)}, {"feature": calls, "unit_amount": D("0.03")}, now=SEPTEMBER).plan
    subscription = subscribed(plan)
    bill(SEPTEMBER)
    use(subscription.customer, calls, utc(2026, 9, 5), 1000)
    use(subscription.customer, calls, utc(2026, 9, 20), 100)
    change_plan(subscription, other, at=utc(2026, 9, 16), now=utc(2026, 9, 16), by=None, reason="Upgrade")
    bill(OCTOBER)
    pause(subscription, at=utc(2026, 10, 11), now=utc(2026, 10, 11), by=None)
    resume(subscription, at=utc(2026, 10, 21), now=utc(2026, 10, 21), by=None)
    bill(NOVEMBER)
    for periods in (1, 2):
        simulation = simulate(periods=periods)
        assert all(invoiced == simulated for invoiced, simulated in totals(simulation))
        assert simulation.invoices.count() == periods
        assert simulation.results[0]["causes"] == []


def test_late_usage_is_the_cause_of_a_difference(plan, calls):
    subscription = subscribed(plan)
    bill(SEPTEMBER), bill(OCTOBER)
    use(subscription.customer, calls, utc(2026, 9, 5), 250)  # after the invoice: $2.50
    [row] = simulate(OCTOBER, periods=1).invoices.all()
    assert (row.invoiced, row.simulated, causes(row)) == (D(60), D("62.50"), {"usage API calls": "2.5"})


def test_agreed_terms_and_add_ons_stay_unless_they_are_replaced(plan, draft, calls):
    support = make_addon(FEE | {"unit_amount": D(7), "name": "Support"}, now=SEPTEMBER)
    subscription = subscribed(plan)
    add_addon(subscription, support, at=SEPTEMBER, now=SEPTEMBER, by=None)
    bill(SEPTEMBER), bill(OCTOBER), bill(NOVEMBER)
    # The plan's fee and the add-on's, $37.00 a month; on the draft $47.00.
    assert totals(simulate(version=draft, plan=plan, periods=1)) == [(D(37), D(47))]


def test_a_discount_is_simulated_for_everyone_who_pays(plan, calls):
    coupon = make_coupon(10, name="Loyal")
    subscription = subscribed(plan)
    use(subscription.customer, calls, utc(2026, 10, 5), 1000)
    bill(SEPTEMBER), bill(OCTOBER), bill(NOVEMBER)
    simulation = simulate(coupon=coupon, periods=1)
    assert totals(simulation) == [(D(40), D(36))]  # 10% of $40.00
    assert causes(simulation.invoices.get()) == {"discount Loyal": "-4"}


def test_a_subscription_without_prices_in_its_currency_is_a_problem(plan, draft):
    subscribed(plan)
    Price.objects.filter(version=draft).update(currency="EUR")
    bill(SEPTEMBER), bill(OCTOBER)
    [row] = simulate(OCTOBER, version=draft, plan=plan).invoices.all()
    assert "has no prices in USD per month" in row.problem
    assert (row.invoiced, row.simulated, row.period_start) == (0, 0, None)


def test_limits_and_signs_mark_periods(plan, draft, calls):
    subscribed(plan)
    bill(SEPTEMBER), bill(OCTOBER), bill(NOVEMBER)
    # $30.00 becomes $40.00: 33.3% more.
    for limit, exceeds in ((D(33), True), (D(34), False)):
        [row] = simulate(version=draft, plan=plan, periods=1, limit_percent=limit).invoices.all()
        assert (row.exceeds_limit, row.changes_sign) == (exceeds, False)


def test_simulations_save_nothing_else(plan, draft, calls):
    subscribed(plan)
    bill(SEPTEMBER), bill(OCTOBER)
    before = list(Invoice.objects.order_by("pk").values())
    simulate(OCTOBER, version=draft, plan=plan)
    assert list(Invoice.objects.order_by("pk").values()) == before


def test_present_prices_reproduce_the_demo_company():
    make_demo_company(by=make_user(is_superuser=True))
    simulation = simulate(timezone.now(), periods=3)
    rows = list(simulation.invoices.all())
    assert len(rows) > 10
    different = {cause for row in rows for cause, *_ in row.parts}
    assert different <= {"usage", "tiers", "late_usage"}  # the demo sends usage after its invoices
    assert all(row.change == sum(D(amount) for _, _, amount, *_ in row.parts) for row in rows)


STEPS = st.one_of(
    st.tuples(st.just("use"), st.integers(0, 27), st.integers(1, 900)),
    st.tuples(st.just("change"), st.integers(0, 2)),
    st.tuples(st.sampled_from(["pause", "resume", "addon", "coupon"])),
    st.tuples(st.just("wait"), st.integers(1, 12)),
    st.tuples(st.just("month")),
    st.tuples(st.just("month")),
)


class Company:
    """Two subscriptions to which all of it happens, billed at each period's end and finalized with the next."""

    def __init__(self):
        self.now = SEPTEMBER
        self.calls, self.coupon = make_feature(name="API calls"), make_coupon("12.5")
        make_tax("7.7")
        tiers = [(100, D("0.015")), (None, D("0.007"), D(3))]
        self.plans = [
            make_version(FEE, {"feature": self.calls, "unit_amount": D("0.01")}, now=self.now).plan,
            make_version(
                FEE | {"cadence": "arrears", "unit_amount": D("47.11")},
                {"feature": self.calls, "model": "graduated", "tiers": tiers},
                free_units={self.calls: D(50)},
                now=self.now,
            ).plan,
            make_version(FEE | {"unit_amount": D("99.99")}, now=self.now).plan,
        ]
        self.addon = make_addon(FEE | {"unit_amount": D("7.77")}, now=self.now)
        self.customer = make_customer()
        self.subscriptions = [
            make_subscription(customer=self.customer, plan=self.plans[0], starts_at=self.now, now=self.now, key=key)
            for key in ("first", "second")
        ]
        bill(self.now)

    def play(self, step, subscription):
        name, *values = step
        terms = {"at": self.now, "now": self.now, "by": None}
        if name == "use":
            day, count = values
            at = max(self.now.replace(day=1, hour=0), self.now - timedelta(days=day))
            use_once(self.customer, self.calls, at, count)
        elif name == "change":
            change_plan(subscription, self.plans[values[0]], reason="Agreed", **terms)
        elif name == "pause":
            pause(subscription, **terms)
        elif name == "resume":
            resume(subscription, **terms)
        elif name == "addon":
            add_addon(subscription, self.addon, **terms)
        elif name == "coupon":
            if not CouponApplication.objects.filter(coupon=self.coupon).exists():
                give(self.coupon, self.customer, starts_at=self.now)
        elif name == "wait":
            self.wait(values[0])
        else:
            self.wait(31)

    def wait(self, days):
        target = self.now + timedelta(days=days)
        while True:
            month = (self.now.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0)
            if month > target:
                break
            self.now = month
            finalize_due(now=self.now)
            bill(self.now)
        self.now = max(self.now, target)


def use_once(customer, feature, at, count):
    """Count usage in an hour that has none yet."""
    if not UsageBucket.objects.filter(customer=customer, feature=feature, hour=at).exists():
        use(customer, feature, at, count)


@pytest.mark.slow
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(steps=st.lists(st.tuples(STEPS, st.integers(0, 1)), min_size=8, max_size=25), periods=st.integers(1, 6))
def test_present_prices_reproduce_the_invoices_of_any_company(steps, periods):
    with transaction.atomic():
        company = Company()
        for step, number in [*steps, (("month",), 0), (("month",), 0)]:
            try:
                with transaction.atomic():
                    company.play(step, company.subscriptions[number])
            except Refused:
                continue
        simulation = simulate(company.now, periods=periods)
        different = [
            (row.period_start, row.invoiced, row.simulated, row.parts)
            for row in simulation.invoices.all()
            if row.change or row.problem
        ]
        assert different == []
        assert simulation.invoices.exists()
        transaction.set_rollback(True)
