"""The dialog that sets prices by the values of a property."""

import pytest
from django.core.exceptions import ValidationError

from catalog.admin.value_prices import read_value_prices
from catalog.wording import describe_meter
from tests.admin_pages import submit, url
from tests.billing.world import D
from tests.factories import make_draft, make_feature

pytestmark = pytest.mark.django_db


@pytest.fixture
def draft():
    return make_draft()


@pytest.fixture
def traffic():
    return make_feature(name="Traffic", event_name="traffic", aggregation="sum", field="gb")


def set_prices(client, draft, feature, **answers):
    entered = {
        "feature": feature.pk, "property_name": "region", "listed": "eu: 0.10\n\nus, ca: 0.08", "other": "0.12",
        "free_units": "10", "currency": "usd", "interval": "month",
    }  # fmt: skip
    return submit(client, url("catalog_planversion_add_prices_by_value", draft.pk), **entered | answers)


def prices_of(draft):
    return [(price.label, price.unit_amount) for price in draft.prices.order_by("position")]


def test_a_list_is_entered_at_once_and_again(staff_client, draft, traffic):
    set_prices(staff_client, draft, traffic)
    assert prices_of(draft) == [
        ("Traffic (region: eu)", D("0.10")),
        ("Traffic (region: ca, us)", D("0.08")),
        ("Traffic (region: other)", D("0.12")),
    ]
    assert set(draft.entitlements.values_list("free_units", flat=True)) == {D(10)}

    set_prices(staff_client, draft, traffic, listed="asia: 0.15\neu: 0.11", other="", free_units="")
    assert prices_of(draft) == [
        ("Traffic (region: eu)", D("0.11")),
        ("Traffic (region: ca, us)", D("0.08")),
        ("Traffic (region: other)", D("0.12")),
        ("Traffic (region: asia)", D("0.15")),
    ]
    other = draft.prices.get(unit_amount=D("0.12")).feature
    assert describe_meter(other) == (
        "Sums “gb” of every “traffic” event, except those whose region is asia or ca or eu or us; starts at 0 each "
        "billing period."
    )
    assert draft.entitlements.get(feature=other).free_units == D(10)
    assert draft.entitlements.count() == 3


def test_a_price_that_is_deleted_leaves_its_value_to_the_others(staff_client, draft, traffic):
    set_prices(staff_client, draft, traffic)
    eu = draft.prices.get(unit_amount=D("0.10"))
    staff_client.post(url("catalog_price_delete", eu.pk), {"post": "yes"})
    assert draft.prices.get(unit_amount=D("0.12")).feature.variant_values == ["ca", "us"]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"listed": "eu 0.10"}, "“eu 0.10” isn't a price. Write eu: 0.10, or us, ca: 0.08."),
        ({"listed": "eu: 0.10\neu: 0.20"}, "“eu” has two prices. Enter each value once."),
        ({"currency": "XXX"}, "XXX isn't a currency in use."),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_saved(staff_client, draft, traffic, answers, message):
    response = set_prices(staff_client, draft, traffic, **answers)
    assert message in response.content.decode().replace("&#x27;", "'")
    assert prices_of(draft) == []


@pytest.mark.parametrize("line", ["eu", "eu: -1", "eu: 1_0", ": 0.10", "eu,: 0.10", "eu: 1e15"])
def test_a_line_is_values_and_an_amount(line):
    with pytest.raises(ValidationError, match="isn't a price"):
        read_value_prices(line)
