from decimal import Decimal

import pytest

from catalog.selectors import (
    Terms,
    entitlements_by_version,
    fees,
    list_offered_terms,
    prices_by_version,
    prices_on_terms,
)
from tests.factories import make_feature, make_version

pytestmark = pytest.mark.django_db

MONTHLY = Terms("USD", "month")
FEE = {"kind": "fixed", "model": "flat", "unit_amount": Decimal(49)}


def test_a_subscription_is_charged_the_prices_on_its_terms():
    version = make_version(
        {"name": "calls"},
        {"name": "fee", "position": -1, **FEE},
        {"name": "euro", "currency": "EUR"},
        {"name": "yearly", "interval": "year"},
        {"name": "two months", "interval_count": 2},
    )

    assert [price.name for price in prices_on_terms(version, MONTHLY)] == ["fee", "calls"]
    assert [price.name for price in fees(version, MONTHLY)] == ["fee"]


def test_the_terms_of_a_version_are_listed():
    version = make_version({"interval": "year"}, {"currency": "EUR", "interval": "month", "interval_count": 2}, {})

    assert [str(terms) for terms in list_offered_terms(version)] == ["EUR monthly × 2", "USD monthly", "USD annual"]


def test_prices_come_with_features_and_sorted_tiers_in_two_queries(django_assert_num_queries):
    tiers = [(None, Decimal(1)), (Decimal(1000), Decimal(2)), (Decimal(20), Decimal(3))]
    versions = [
        make_version(*({"model": "graduated", "tiers": tiers, "feature": make_feature()} for _ in range(3)))
        for _ in range(3)
    ]

    with django_assert_num_queries(2):
        prices_by_id = prices_by_version(versions)
        bounds = {
            (price.feature_id, tuple(tier.up_to for tier in price.tiers.all()))
            for prices in prices_by_id.values()
            for price in prices
        }

    assert len(bounds) == 9
    assert {shape for _, shape in bounds} == {(Decimal(20), Decimal(1000), None)}


def test_free_tiers_are_found_by_version_and_feature(django_assert_num_queries):
    calls, tokens = make_feature(), make_feature()
    version = make_version({"feature": calls}, free_units={calls: Decimal(10), tokens: Decimal(20)})

    with django_assert_num_queries(1):
        entitlements = entitlements_by_version([version])

    assert entitlements[version.pk][tokens.pk].free_units == Decimal(20)
