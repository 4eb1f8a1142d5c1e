"""Two subscriptions of a customer that charge the same usage: on the customer's page, when attaching, in the API."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing.overview.double_charges import double_charges
from catalog.by_value import ValuePrice, set_value_prices
from catalog.models import Feature, Plan
from catalog.publishing import publish
from customers.models import Customer
from tests.admin_pages import text_of, url
from tests.billing.late import arrive_many
from tests.billing.world import D
from tests.factories import make_customer, make_draft, make_feature, make_price, make_subscription, make_version

pytestmark = pytest.mark.django_db
TWICE = "The same usage of Calls is charged twice. Upcoming invoices so far: $3.00 by Growth ("


@pytest.fixture
def plans() -> dict[str, Plan]:
    """Two plans that charge calls, of which a customer has the first, with three calls, and one of fees only."""
    calls: Feature = make_feature(name="Calls")
    growth = make_version({"feature": calls, "unit_amount": D(1)}, name="Growth")
    pro = make_version({"feature": calls, "unit_amount": D("0.5")}, name="Pro")
    support = make_version({"kind": "fixed", "name": "Support", "unit_amount": D(10)}, name="Support")
    customer = make_customer(external_id="acme")
    make_subscription(customer=customer, plan=growth, starts_at=timezone.now() - timedelta(days=3))
    arrive_many(3, timezone.now() - timedelta(hours=1))
    return {version.plan.name: version.plan for version in (growth, pro, support)}


def test_the_api_answers_with_the_amounts(api, plans):
    body = {"external_customer_id": "acme", "currency": "USD", "billing_period": "MONTHLY"}
    start = (timezone.now() - timedelta(days=1)).isoformat()
    made = api.post("subscriptions", body | {"plan_id": plans["Support"].public_id, "start_date": start}, 201)
    assert made["warnings"] == []
    made = api.post("subscriptions", body | {"plan_id": plans["Pro"].public_id, "start_date": start}, 201)
    (warning,) = made["warnings"]
    assert warning["message"].startswith(TWICE)
    assert [row["amount"] for row in warning["charges"]] == ["3.00", "1.50"]
    assert api.get(f"subscriptions/{made['id']}")["warnings"] == [warning]


def test_staff_are_warned_when_they_attach_and_on_the_customers_page(staff_client, plans):
    customer = Customer.objects.get(external_id="acme")
    page = url("customers_customer_change", customer.pk)
    assert "is charged twice" not in text_of(staff_client.get(page))
    form = {
        "customer": customer.pk, "plan": plans["Pro"].pk, "interval": "month", "interval_count": "1",
        "alignment": "anniversary", "prorate": "on", "starts_on": str(timezone.now().date()),
    }  # fmt: skip
    response = staff_client.post(url("customers_subscription_add"), form, follow=True)
    assert TWICE in text_of(response)
    assert TWICE in text_of(staff_client.get(page))


@pytest.mark.parametrize(
    ("first", "second", "amounts"),
    [
        (["eu"], None, ["3.00", "6.00"]),
        (["eu"], ["us"], None),
        (["eu"], ["eu", "us"], ["3.00", "3.00"]),
        (["eu", "other"], ["us"], ["3.00", "3.00"]),
        (["eu", "us", "other"], ["us"], ["3.00", "3.00"]),
    ],
)
def test_prices_by_value_are_charged_twice_if_they_share_a_value(first, second, amounts):
    """Three calls from the EU and three from the US, at $1.00. Without values, one price charges all calls."""
    calls, customer = make_feature(name="Calls"), make_customer(external_id="acme")
    for values in (first, second):
        draft = make_draft()
        if values is None:
            make_price(version=draft, feature=calls, unit_amount=D(1))
        else:
            prices = [ValuePrice([] if value == "other" else [value], D(1)) for value in values]
            set_value_prices(draft, calls, "region", prices, currency="USD", by=None)
        plan = publish(draft, now=timezone.now(), by=None)
        make_subscription(customer=customer, plan=plan, starts_at=timezone.now() - timedelta(days=3))
    for region in ("eu", "us"):
        arrive_many(3, timezone.now() - timedelta(hours=1), region=region)
    found = double_charges(customer.pk, now=timezone.now())
    assert [[f"{row.amount:.2f}" for row in double.charges] for double in found] == ([amounts] if amounts else [])
    assert [double.feature for double in found] == ([calls] if amounts else [])
