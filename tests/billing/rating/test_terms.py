"""What is wrong with a price, said before it is sold."""

from decimal import Decimal

import pytest

from billing.rating.terms import Conversion, InvalidTerms, Model, Terms, Tier, check_terms, terms_problems

OPEN = Tier(None, Decimal(1))


@pytest.mark.parametrize(
    "terms",
    [
        Terms(Model.PER_UNIT, unit_amount=Decimal("0.000000000001")),
        Terms(Model.PACKAGE, unit_amount=Decimal(5), package_size=Decimal("0.5"), package_rounding="down"),
        Terms(Model.GRADUATED, tiers=(Tier(Decimal(10), Decimal(2)), OPEN)),
        Terms(Model.VOLUME, tiers=(OPEN,)),
        Terms(Model.GRADUATED, tiers=(Tier(Decimal(10)),), beyond_last_tier="covered_only"),
        Terms(Model.FLAT, flat_amount=Decimal(99)),
        Terms(Model.PERCENTAGE, rate_percent=Decimal("2.9"), per_event_min=Decimal(1), per_event_max=Decimal(1)),
    ],
)
def test_sound_terms_pass(terms):
    check_terms(terms)


@pytest.mark.parametrize(
    ("terms", "problem"),
    [
        (Terms(Model.PER_UNIT, unit_amount=Decimal(-1)), "The price's unit amount is negative."),
        (Terms(Model.PER_UNIT, unit_amount=Decimal("NaN")), "The price's unit amount isn't a number."),
        (Terms(Model.PER_UNIT, unit_amount=Decimal("1E-13")), "The price's unit amount has more than 12 decimals."),
        (Terms(Model.PER_UNIT, tiers=(OPEN,)), "A per unit price has no tiers."),
        (Terms(Model.PACKAGE, package_size=Decimal(0)), "A package holds more than zero units."),
        (Terms(Model.PACKAGE, package_rounding="sideways"), "Started packages round up or down."),
        (Terms(Model.VOLUME), "A tiered price needs at least one tier."),
        (
            Terms(Model.VOLUME, tiers=(Tier(Decimal(10)),)),
            "The last tier is bounded: usage above it would have no price. Leave its upper bound empty.",
        ),
        (
            Terms(Model.VOLUME, tiers=(OPEN, OPEN)),
            "Tier 1 is open, so the tiers after it are never reached. Only the last may be open.",
        ),
        (
            Terms(Model.GRADUATED, tiers=(Tier(Decimal(10)), Tier(Decimal(10)), OPEN)),
            "Tier 2 ends at 10, not above 10 where it begins.",
        ),
        (
            Terms(Model.GRADUATED, tiers=(Tier(Decimal(0)), OPEN)),
            "Tier 1 ends at 0, not above 0 where it begins.",
        ),
        (Terms(Model.GRADUATED, tiers=(Tier(None, Decimal(-1)),)), "Tier 1's unit amount is negative."),
        (
            Terms(Model.PER_UNIT, conversion=Conversion(divide_by=Decimal(0))),
            "A quantity is converted by a number above zero.",
        ),
        (
            Terms(Model.PER_UNIT, conversion=Conversion(free_units=Decimal(-1))),
            "Free units can't be negative.",
        ),
        (
            Terms(Model.PERCENTAGE, conversion=Conversion()),
            "A percentage price has no quantity to convert.",
        ),
        (Terms(Model.PERCENTAGE, free_events=-1), "The number of free events can't be negative."),
        (
            Terms(Model.PERCENTAGE, per_event_min=Decimal(2), per_event_max=Decimal(1)),
            "The minimum per event is above the maximum.",
        ),
    ],
)
def test_each_problem_is_named(terms, problem):
    assert list(terms_problems(terms)) == [problem]


def test_a_model_may_come_as_its_name_and_an_unknown_one_is_refused():
    assert Terms("per_unit").model is Model.PER_UNIT  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="auction"):
        Terms("auction")  # type: ignore[arg-type]


def test_all_problems_are_listed_at_once():
    terms = Terms(Model.GRADUATED, cap_amount=Decimal(-1), tiers=(Tier(Decimal(5)), Tier(Decimal(3))))
    with pytest.raises(InvalidTerms) as refusal:
        check_terms(terms)
    assert refusal.value.problems == [
        "The price's cap is negative.",
        "Tier 2 ends at 3, not above 5 where it begins.",
        "The last tier is bounded: usage above it would have no price. Leave its upper bound empty.",
    ]
