"""The golden vectors of other billing systems' own suites, against this product."""

from decimal import Decimal
from fractions import Fraction

import pytest

from billing.money import to_decimal
from events.models import Event, InboxEvent
from tests.conformance import driver
from tests.conformance.adapter import CATEGORIES
from tests.conformance.comparing import same
from tests.conformance.driver import Status
from tests.conformance.files import OWN_VECTORS, read

# Core vectors that aren't run, because the product doesn't sell what they are about. Add to the list on purpose only.
LEFT_OUT = {
    "add_interval of several units, or of the clock",
    "aggregation level_average",
    "aggregation unique_count with removals",
    "cap_credit",
    "capacity_price",
    "change_interval",
    "change_lines of kind one_time",
    "change_lines with own_period_days",
    "charge with cap_amount of a tier",
    "charge with free units of converted usage",
    "charge with free_units_after_conversion",
    "charge with tier_selection_quantity",
    "charge_buckets",
    "charge_incremental with a minimum after discounts",
    "charge_incremental with a minimum that isn't due yet",
    "charge_incremental with maximum_amount",
    "conversion rounded half_even",
    "credit_balance",
    "discounted_change of a difference only",
    "discounted_change with amount_off",
    "fixed_month_days",
    "invoice with lines of different taxes",
    "invoice with lines that credit may not pay",
    "invoice with maximum_amount of a line",
    "invoice with minimum_amount of a fee",
    "invoice with minimum_commitment",
    "plan_change with already_credited",
    "round_money ceil",
    "round_money down",
    "round_money floor",
    "round_money half_even",
    "round_money none",
    "round_money up",
    "round_sum of sum_then_round",
}


@pytest.fixture(scope="module")
def report(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        return driver.run(read())


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_core_vector_passes(report, category):
    failed = [each for each in report.failures() if each.category == category]
    assert not failed, "\n".join(f"{each.vector['id']}: {each.detail}" for each in failed)


def test_every_offered_variant_passes(report):
    failed = report.failures("variant")
    assert not failed, "\n".join(f"{each.vector['id']}: {each.detail}" for each in failed)


def test_only_whole_operations_or_types_are_left_out(report):
    assert all(": " in reason for reason in report.reasons(Status.NOT_OFFERED) | report.reasons(Status.BY_RULE))
    assert {reason.split(":")[0] for reason in report.reasons(Status.NOT_OFFERED, "core")} == LEFT_OUT
    assert not report.reasons(Status.BY_RULE, "core")


def test_the_documentation_states_how_many_pass(report):
    total = report.total()
    line = ", ".join(f"{total[status]} {status}" for status in Status)
    assert f"`{line}`" in " ".join((OWN_VECTORS.parents[2] / "docs" / "conformance.md").read_text().split())


def test_every_input_of_a_vector_is_used(report):
    assert not report.unread()


def test_vector_names_are_unique(report):
    ids = [each.vector["id"] for each in report.outcomes]
    assert len(set(ids)) == len(ids)


@pytest.mark.django_db
def test_a_run_leaves_no_rows(report):
    assert not Event.objects.exists()
    assert not InboxEvent.objects.exists()


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ("10", Decimal("10.00")),
        ({"amount": "1.5"}, {"amount": Decimal("1.50"), "more": 1}),
        (["1", "2"], [Decimal(1), Decimal(2)]),
        ("2024-01-31T00:00:00Z", "2024-01-31T00:00:00+00:00"),
        ("0.3333333333333333333333333333", Decimal(1) / 3),
        ("0.6666666666666666666666666667", to_decimal(Fraction(2, 3))),
        ("12.870967741935484", to_decimal(Fraction(399, 31))),
        ("2", Decimal("1." + 119 * "9")),
        ({"key": "nan"}, {"key": "nan"}),
    ],
)
def test_results_are_compared_by_value(expected, got):
    assert same(expected, got)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ("10", Decimal("10.01")),
        ("0.12", Decimal("0.12000000000000000001")),
        ("0.666666666666667", to_decimal(Fraction(2, 3))),
        ({"amount": "1.5"}, {"more": 1}),
        (["1", "2"], [Decimal(1)]),
        ("2024-01-31", "2024-02-01"),
        (True, "true"),
        (None, Decimal(0)),
    ],
)
def test_different_results_are_recognized(expected, got):
    assert not same(expected, got)
