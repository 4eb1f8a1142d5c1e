# mypy: disable-error-code="comparison-overlap"
# Decimal("5") == 5 is true, and what the tables below say.
"""The price of a quantity, and how it is calculated."""

from dataclasses import replace
from decimal import Decimal

import pytest

from billing.money import ZERO
from billing.rating.rate import EventsNeeded, QuantityOutOfRange, convert_quantity, rate
from billing.rating.terms import Conversion, Model, Terms, Tier


def D(text: str) -> Decimal:  # noqa: N802 - short, because the tables below are about numbers
    return Decimal(text)


PER_UNIT = Terms(Model.PER_UNIT, unit_amount=D("0.25"))
PACKAGE = Terms(Model.PACKAGE, unit_amount=D("5"), package_size=D("100"))
TIERS = (Tier(D("10"), D("2"), D("1")), Tier(D("20"), D("1"), D("3")), Tier(None, D("0.5"), D("0")))
GRADUATED = Terms(Model.GRADUATED, tiers=TIERS)
VOLUME = Terms(Model.VOLUME, tiers=TIERS)


@pytest.mark.parametrize(
    ("terms", "quantity", "amount"),
    [
        (PER_UNIT, "0", "0"),
        (PER_UNIT, "10", "2.5"),
        (PER_UNIT, "0.001", "0.00025"),
        (PACKAGE, "0", "0"),
        (PACKAGE, "1", "5"),
        (PACKAGE, "100", "5"),
        (PACKAGE, "100.5", "10"),
        (replace(PACKAGE, package_rounding="down"), "199", "5"),
        (replace(PACKAGE, package_rounding="down"), "99", "0"),
        (GRADUATED, "1", "3"),
        (GRADUATED, "10", "21"),
        (GRADUATED, "10.5", "24.5"),
        (GRADUATED, "20", "34"),
        (GRADUATED, "30", "39"),
        (VOLUME, "1", "3"),
        (VOLUME, "10", "21"),
        (VOLUME, "10.5", "13.5"),
        (VOLUME, "20", "23"),
        (VOLUME, "30", "15"),
        (Terms(Model.FLAT, flat_amount=D("49")), "0", "49"),
        (Terms(Model.FLAT, flat_amount=D("49")), "1000", "49"),
        (Terms(Model.PERCENTAGE, rate_percent=D("2.5"), free_amount=D("100")), "300", "5"),
    ],
)
def test_each_model_prices_a_quantity(terms, quantity, amount):
    assert rate(D(quantity), terms).amount == D(amount)


@pytest.mark.parametrize("terms", [GRADUATED, VOLUME])
def test_the_first_tiers_flat_amount_is_due_without_usage_by_default(terms):
    assert rate(ZERO, terms).amount == 1
    assert rate(ZERO, replace(terms, charge_at_zero=False)).amount == 0


def test_a_first_tier_up_to_zero_charges_its_flat_amount_only_without_usage():
    terms = Terms(Model.GRADUATED, tiers=(Tier(D("0"), D("1"), D("5")), Tier(None, D("2"), D("1"))))
    assert [rate(D(quantity), terms).amount for quantity in ("0", "3")] == [5, 7]


@pytest.mark.parametrize("terms", [PER_UNIT, PACKAGE, GRADUATED, VOLUME])
def test_negative_usage_costs_the_same_as_none(terms):
    assert rate(D("-5"), terms).amount == rate(ZERO, terms).amount


@pytest.mark.parametrize("model", [Model.GRADUATED, Model.VOLUME, Model.GRADUATED_PERCENTAGE])
def test_a_quantity_above_a_bounded_last_tier_is_refused(model):
    terms = Terms(model, tiers=TIERS[:2])
    assert rate(D("20"), terms).quantity == 20
    with pytest.raises(QuantityOutOfRange):
        rate(D("20.0001"), terms)


def test_a_cap_limits_the_amount():
    assert rate(D("1000"), replace(PER_UNIT, cap_amount=D("50"))).amount == 50


def test_a_quantity_is_converted_before_it_is_priced():
    gigabytes = Conversion(divide_by=D("1000"), rounding="ceil")
    rated = rate(D("2100"), Terms(Model.PER_UNIT, unit_amount=D("10"), conversion=gigabytes))
    assert (rated.amount, rated.billable_quantity) == (30, 3)


@pytest.mark.parametrize(
    ("conversion", "converted"),
    [
        (None, "1400"),
        (Conversion(multiply_by=D("1.2")), "1680"),
        (Conversion(divide_by=D("1000")), "1.4"),
        (Conversion(divide_by=D("1000"), rounding="half_up"), "1"),
        (Conversion(divide_by=D("1000"), rounding="ceil"), "2"),
    ],
)
def test_conversions(conversion, converted):
    assert convert_quantity(D("1400"), conversion) == D(converted)


def test_every_tier_shows_how_its_amount_is_calculated():
    parts = rate(D("25"), GRADUATED).parts
    assert [(part.tier, part.from_quantity, part.up_to, part.quantity) for part in parts] == [
        (1, 0, 10, 10),
        (2, 10, 20, 10),
        (3, 20, None, 5),
    ]
    assert [(part.unit_amount, part.flat_amount, part.amount) for part in parts] == [
        (2, 1, 21),
        (1, 3, 13),
        (D("0.5"), 0, D("2.5")),
    ]


def test_a_cap_is_a_separate_part():
    parts = rate(D("1000"), replace(PER_UNIT, cap_amount=D("50"))).parts
    assert [(part.kind, part.amount) for part in parts] == [("units", 250), ("cap", -200)]


def test_packages_are_counted():
    (part,) = rate(D("250"), PACKAGE).parts
    assert (part.kind, part.quantity, part.unit_amount) == ("packages", 3, 5)


def test_a_percentage_with_amounts_per_event_cannot_be_rated_on_the_total():
    with pytest.raises(EventsNeeded):
        rate(D("100"), Terms(Model.PERCENTAGE, rate_percent=D("2"), fixed_amount_per_event=D("0.1")))
