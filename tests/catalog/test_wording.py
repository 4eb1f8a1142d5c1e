from decimal import Decimal

import pytest

from catalog.comparing import differences
from catalog.models import PriceTier
from catalog.publishing import get_or_create_draft
from catalog.wording import describe_free_tier, describe_meter, describe_price
from tests.factories import make_draft, make_entitlement, make_feature, make_fee, make_price, make_version

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("feature", "sentence"),
    [
        ({"event_name": "api.calls"}, "Counts every “api.calls” event; starts at 0 each billing period."),
        (
            {"event_name": "chat", "field": "tokens", "filters": {"model": ["a", "b"], "region": ["eu"]}},
            (
                "Sums “tokens” of every “chat” event whose model is a or b and whose region is eu; "
                "starts at 0 each billing period."
            ),
        ),
        (
            {"event_name": "storage", "field": "gb", "aggregation": "latest", "reset": "cumulative"},
            (
                "Takes the latest “gb” of the “storage” events; the running total of the customer's whole history "
                "is billed every period."
            ),
        ),
        (
            {"event_name": "seen", "field": "user_id", "aggregation": "unique_count"},
            "Counts the distinct values of “user_id” in the “seen” events; starts at 0 each billing period.",
        ),
        (
            {
                "event_name": "cpu",
                "field": "ms",
                "aggregation": "sum_with_multiplier",
                "multiplier": Decimal("0.001"),
            },
            "Sums “ms” × 0.001 of every “cpu” event; starts at 0 each billing period.",
        ),
        ({"kind": "boolean"}, "Switched on or off by the plan. Events don't affect it."),
    ],
)
def test_a_feature_is_described_by_what_it_counts(feature, sentence):
    assert describe_meter(make_feature(**feature)) == sentence


@pytest.mark.parametrize(
    ("price", "words"),
    [
        ({"unit_amount": Decimal("0.0025")}, "$0.0025 per token; per month"),
        (
            {"unit_amount": Decimal(5), "model": "package", "package_size": Decimal(1000)},
            "$5.00 per 1,000 tokens; per month",
        ),
        (
            {"model": "graduated", "tiers": [(Decimal(1000), Decimal("0.01")), (None, Decimal("0.005"), Decimal(3))]},
            "Graduated: up to 1,000 at $0.01, then $0.005 + $3.00; per month",
        ),
        (
            {"unit_amount": Decimal(2), "currency": "JPY", "interval": "year", "minimum_amount": Decimal(500)},
            "¥2 per token; at least ¥500; per year",
        ),
        ({"model": "percentage", "rate_percent": Decimal("2.9")}, "2.9% of the value; per month"),
    ],
)
def test_a_price_is_described_by_what_it_charges(price, words):
    tokens = make_feature(field="tokens", unit_singular="token", unit_plural="tokens")

    assert describe_price(make_price(version=make_draft(), feature=tokens, **price)) == words


def test_a_fee_is_described_with_the_time_of_its_invoice():
    fee = make_fee(version=make_draft(), unit_amount=Decimal("49.5"), quantity=Decimal(3), interval_count=2)

    assert describe_price(fee) == "3 × $49.50 every 2 months, in advance"


@pytest.mark.parametrize(
    ("grant", "words"),
    [
        ({"free_units": Decimal(1000)}, "1,000 calls free each billing period"),
        ({"free_units": Decimal(1), "reset": "never"}, "1 call free once"),
        ({"free_units": None}, "Unlimited"),
    ],
)
def test_a_free_tier_is_described_by_what_it_grants(grant, words):
    calls = make_feature(unit_singular="call", unit_plural="calls")

    assert describe_free_tier(make_entitlement(version=make_draft(), feature=calls, **grant)) == words


def test_a_draft_is_compared_with_the_published_version():
    tokens = make_feature(name="Tokens")
    version = make_version(
        {"feature": tokens, "unit_amount": Decimal("0.01")},
        {"feature": make_feature(name="Calls"), "unit_amount": Decimal(1)},
        free_units={tokens: Decimal(10)},
    )
    draft = get_or_create_draft(version.plan, by=None)
    draft.prices.filter(feature=tokens).update(unit_amount=Decimal("0.02"))
    draft.prices.exclude(feature=tokens).delete()
    make_fee(version=draft, name="Base fee")

    lines = [(line.subject, line.before, line.after) for line in differences(draft)]

    assert lines == [
        ("Tokens (USD)", "$0.01 per unit; per month", "$0.02 per unit; per month"),
        ("Base fee (USD)", "", "$10.00 per month, in advance"),
        ("Calls (USD)", "$1.00 per unit; per month", ""),
    ]


def test_a_first_draft_adds_everything():
    price = make_price(version=make_draft(), feature=make_feature(name="Tokens"), model="volume")
    PriceTier.objects.create(price=price, unit_amount=Decimal(1))

    assert [(line.subject, line.after) for line in differences(price.version)] == [
        ("Tokens (USD)", "Volume: then $1.00; per month")
    ]
