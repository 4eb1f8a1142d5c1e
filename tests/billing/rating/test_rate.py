# mypy: disable-error-code="comparison-overlap"
# Decimal("5") == 5 is true, and what the tables below say.
"""What a quantity costs, and how that came about."""

from dataclasses import replace
from decimal import Decimal

import pytest

from billing.money import ZERO
from billing.rating.rate import (
    CapacityTier,
    Conversion,
    EventsNeeded,
    Model,
    NegativeQuantity,
    QuantityOutOfRange,
    Terms,
    Tier,
    capacity_price,
    combined,
    convert_quantity,
    free_units_by_subperiod,
    free_units_left,
    rate,
    rate_buckets,
    split_free_units,
)


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


@pytest.mark.parametrize(
    ("quantity", "amount", "used"), [("1000", "0", "1000"), ("1001", "0.25", "1000"), ("3", "0", "3")]
)
def test_free_units_come_first(quantity, amount, used):
    rated = rate(D(quantity), PER_UNIT, free_units=D("1000"))
    assert (rated.amount, rated.free_units_used) == (D(amount), D(used))


def test_free_units_come_off_before_tiers_and_packages():
    assert rate(D("15"), GRADUATED, free_units=D("5")).amount == 21
    assert rate(D("15"), VOLUME, free_units=D("5")).amount == 21
    assert rate(D("150"), PACKAGE, free_units=D("50")).amount == 5


def test_unlimited_free_units_leave_nothing_to_bill():
    rated = rate(D("1000000"), PER_UNIT, free_units=None)
    assert (rated.amount, rated.billable_quantity, rated.free_units_used) == (0, 0, 1000000)


@pytest.mark.parametrize("terms", [GRADUATED, VOLUME])
def test_the_first_tiers_flat_amount_is_due_without_usage_unless_the_price_says_not(terms):
    assert rate(ZERO, terms).amount == 1
    assert rate(ZERO, replace(terms, charge_at_zero=False)).amount == 0
    assert rate(D("3"), terms, free_units=D("3")).amount == 1


def test_a_first_tier_up_to_zero_charges_its_flat_amount_for_no_usage_only():
    terms = Terms(Model.GRADUATED, tiers=(Tier(D("0"), D("1"), D("5")), Tier(None, D("2"), D("1"))))
    assert [rate(D(quantity), terms).amount for quantity in ("0", "3")] == [5, 7]


@pytest.mark.parametrize("terms", [PER_UNIT, PACKAGE, GRADUATED, VOLUME])
def test_negative_usage_costs_what_none_costs(terms):
    assert rate(D("-5"), terms).amount == rate(ZERO, terms).amount


def test_negative_usage_is_refused_where_the_price_asks_for_it():
    with pytest.raises(NegativeQuantity):
        rate(D("-5"), replace(PER_UNIT, negative_quantity="error"))


@pytest.mark.parametrize("model", [Model.GRADUATED, Model.VOLUME, Model.GRADUATED_PERCENTAGE])
def test_a_quantity_past_a_bounded_last_tier_is_refused(model):
    terms = Terms(model, tiers=TIERS[:2])
    assert rate(D("20"), terms).quantity == 20
    with pytest.raises(QuantityOutOfRange):
        rate(D("20.0001"), terms)


def test_units_past_a_bounded_last_tier_may_be_left_unbilled():
    terms = Terms(Model.GRADUATED, tiers=TIERS[:2], beyond_last_tier="covered_only")
    assert rate(D("1000"), terms).amount == 34


def test_a_volume_price_may_count_its_bounds_from_the_next_tier():
    assert rate(D("10"), replace(VOLUME, tier_boundary="next_tier")).amount == 13


def test_caps_limit_the_total_or_one_tier():
    assert rate(D("1000"), replace(PER_UNIT, cap_amount=D("50"))).amount == 50
    capped = (Tier(D("10"), D("2"), D("1"), cap_amount=D("15")), Tier(None, D("1")))
    assert rate(D("12"), Terms(Model.GRADUATED, tiers=capped)).amount == 17


def test_the_tier_may_be_chosen_by_another_quantity():
    assert rate(D("5"), VOLUME, tier_quantity=D("25")).amount == D("2.5")


def test_a_quantity_is_converted_before_it_is_priced():
    gigabytes = Conversion(divide_by=D("1000"), rounding="ceil")
    rated = rate(D("2100"), Terms(Model.PER_UNIT, unit_amount=D("10"), conversion=gigabytes), free_units=D("100"))
    assert (rated.amount, rated.billable_quantity) == (20, 2)
    rated = rate(
        D("2100"), Terms(Model.PER_UNIT, unit_amount=D("10"), conversion=replace(gigabytes, free_units=D("1.5")))
    )
    assert (rated.amount, rated.billable_quantity) == (15, D("1.5"))


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


def test_every_tier_shows_how_its_amount_came_about():
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


def test_a_cap_is_a_part_of_its_own():
    parts = rate(D("1000"), replace(PER_UNIT, cap_amount=D("50"))).parts
    assert [(part.kind, part.amount) for part in parts] == [("units", 250), ("cap", -200)]


def test_packages_are_shown_by_their_number():
    (part,) = rate(D("250"), PACKAGE).parts
    assert (part.kind, part.quantity, part.unit_amount) == ("packages", 3, 5)


def test_buckets_are_priced_alone_and_empty_ones_cost_nothing():
    ratings = rate_buckets([D("5"), ZERO, D("15")], GRADUATED)
    assert [each.amount for each in ratings] == [11, 0, 29]
    total = combined(ratings)
    assert (total.amount, total.quantity, len(total.parts)) == (40, 20, 3)


def test_an_allowance_is_spent_on_the_earlier_line_first():
    assert split_free_units(D("10"), D("5"), D("15")) == (0, 10)
    assert split_free_units(D("10"), D("12"), D("3")) == (2, 3)
    assert split_free_units(None, D("12"), D("3")) == (0, 0)


def test_an_allowance_per_day_lapses_every_day():
    assert free_units_by_subperiod([D("3"), D("12"), D("-4"), D("20")], D("10")) == 12
    assert free_units_by_subperiod([D("12")], None) == 0


@pytest.mark.parametrize(("used", "left"), [("0", "100"), ("60", "40"), ("130", "0"), ("-5", "100")])
def test_a_lifetime_allowance_is_used_up_once(used, left):
    assert free_units_left(D("100"), D(used)) == D(left)


def test_an_unlimited_allowance_is_never_used_up():
    assert free_units_left(None, D("1000")) is None


def test_a_capacity_price_takes_the_first_tier_that_holds_every_unit():
    tiers = [
        CapacityTier(D("10"), {"seats": D("5"), "storage": D("100")}),
        CapacityTier(D("20"), {"seats": D("50"), "storage": None}),
    ]
    assert capacity_price(tiers, {"seats": D("5"), "storage": D("100")}) == 10
    assert capacity_price(tiers, {"seats": D("5"), "storage": D("101")}) == 20
    with pytest.raises(QuantityOutOfRange):
        capacity_price(tiers, {"seats": D("51")})


def test_a_percentage_with_amounts_per_event_cannot_be_priced_by_its_total():
    with pytest.raises(EventsNeeded):
        rate(D("100"), Terms(Model.PERCENTAGE, rate_percent=D("2"), fixed_amount_per_event=D("0.1")))
