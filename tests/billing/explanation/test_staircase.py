"""The staircase of a tiered price: what one more unit costs at each usage, and where a customer is."""

import pytest
from django.urls import reverse

from billing.admin.pages.staircase import usage_staircase
from billing.explanation.staircase import staircase
from billing.rating.rate import rate
from billing.rating.terms import Model, Terms, Tier
from catalog.publishing import publish
from customers.subscriptions import change_plan
from tests.billing.world import D, use, utc
from tests.events.senders import process, send
from tests.factories import (
    make_customer,
    make_draft,
    make_entitlement,
    make_feature,
    make_plan,
    make_price,
    make_subscription,
    make_version,
)

TIERS = (Tier(D(1000), D("0.01")), Tier(D(5000), D("0.008")), Tier(None, D("0.005")))
START = utc(2026, 9, 1)


@pytest.mark.parametrize("model", [Model.GRADUATED, Model.VOLUME])
def test_free_units_move_the_steps(model):
    chart = staircase(Terms(model, tiers=TIERS), "USD", free_units=D(500), place=D(2000), who="Acme")
    assert chart is not None
    assert list(chart.positions)[:4] == [0, 500, 1500, 5500]
    assert chart.rows[:4] == [
        ("0", "", [("$0.00", "")]),
        ("500", "", [("$0.01", "")]),
        ("1,500", "", [("$0.008", "")]),
        ("5,500", "", [("$0.005", "")]),
    ]
    assert [(mark.name, mark.value) for mark in chart.marks] == [("Acme: 2,000", 2000), ("500 free", 500)]


def test_a_step_is_the_price_of_the_next_unit():
    terms = Terms(Model.GRADUATED, tiers=TIERS)
    assert rate(D(1001), terms).amount - rate(D(1000), terms).amount == D("0.008")


def test_a_price_without_tiers_has_no_staircase():
    assert staircase(Terms(Model.PER_UNIT, unit_amount=D(1)), "USD") is None


@pytest.mark.django_db
def test_the_debugger_and_the_price_show_the_staircase(staff_client):
    calls = make_feature(event_name="api.calls", field="n")
    tiers = [(D(1000), D("0.01")), (None, D("0.005"))]
    version = make_version({"feature": calls, "model": "graduated", "tiers": tiers}, free_units={calls: 100})
    customer = make_customer(external_id="acme", name="Acme")
    make_subscription(customer=customer, plan=version, starts_at=START, now=START)
    event_id = send("api.calls", at=START, n=1200)
    process()
    page = staff_client.get(reverse("admin:events_debugger"), {"event": event_id})
    [url] = page.context["staircase_urls"]
    chart = staff_client.get(url).context["chart"]
    assert [mark.name for mark in chart.marks] == ["Acme: 1,200", "100 free"]
    price = version.prices.get()
    assert (
        reverse("admin:billing_price_staircase", args=[price.pk])
        in staff_client.get(reverse("admin:catalog_price_change", args=[price.pk])).content.decode()
    )


@pytest.mark.django_db
def test_after_a_change_of_plan_the_place_is_the_usage_of_the_new_price(staff_client):
    calls = make_feature(event_name="api.calls")
    tiers = [(D(1000), D("0.01")), (None, D("0.005"))]
    old, new = (
        make_version({"feature": calls, "model": "graduated", "tiers": tiers}, free_units={calls: free})
        for free in (100, 40)
    )
    subscription = make_subscription(plan=old, starts_at=START, now=START)
    change = utc(2026, 9, 11)
    use(subscription.customer, calls, START, 1200)
    use(subscription.customer, calls, utc(2026, 9, 12), 300)
    change_plan(subscription, new, at=change, now=change, by=None, reason="")
    for at, marks in ((START, ["1,200", "100 free"]), (utc(2026, 9, 12), ["300", "40 free"])):
        chart = usage_staircase(subscription.pk, calls.pk, at)
        assert [mark.name.rpartition(": ")[2] for mark in chart.marks] == marks


@pytest.mark.django_db
def test_with_a_daily_allowance_the_place_is_the_usage_beyond_it():
    calls = make_feature(event_name="api.calls")
    draft = make_draft(make_plan(published=False))
    make_price(version=draft, feature=calls, model="graduated", tiers=[(D(1000), D("0.01")), (None, D("0.005"))])
    make_entitlement(version=draft, feature=calls, free_units=20, reset="daily")
    subscription = make_subscription(plan=publish(draft, now=START, by=None), starts_at=START, now=START)
    use(subscription.customer, calls, START, 100)
    use(subscription.customer, calls, utc(2026, 9, 2), 10)
    [mark] = usage_staircase(subscription.pk, calls.pk, START).marks
    assert mark.value == 80
