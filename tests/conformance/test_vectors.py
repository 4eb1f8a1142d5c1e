"""The golden vectors of other billing systems' own suites, against this product."""

from decimal import Decimal

import pytest

from events.models import Event, InboxEvent
from tests.conformance import driver
from tests.conformance.adapter import CATEGORIES

# Core vectors that the product doesn't answer: an aggregation that it hasn't got, a rule that was decided otherwise,
# or what isn't there yet. Whatever is added to this list has to be meant.
LEFT_OUT = {
    "aggregation level_average",
    "aggregation unique_count with removals",
    "credit_balance",
    "void_invoice of a void one",
    "void_invoice with has_later_corrections",
    "accept_timestamp with subscription_ended_at",
    "rerate_period",
    "repeat_request",
    "credit_notes",
}


@pytest.fixture(scope="module")
def report(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        return driver.run(driver.read())


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_core_vector_holds(report, category):
    failed = [each for each in report.failures() if each.category == category]
    assert not failed, "\n".join(f"{each.vector['id']}: {each.detail}" for each in failed)


def test_every_variant_on_offer_holds(report):
    failed = report.failures("variant")
    assert not failed, "\n".join(f"{each.vector['id']}: {each.detail}" for each in failed)


def test_what_is_left_out_is_a_whole_operation_or_a_rule(report):
    assert all(": " in reason for reason in report.not_offered())
    core = [each for each in report.outcomes if each.vector["profile"] == "core"]
    assert {each.detail.split(":")[0] for each in core if each.status == "not offered"} == LEFT_OUT


@pytest.mark.django_db
def test_a_run_leaves_no_rows_behind(report):
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
    ],
)
def test_results_are_compared_by_value(expected, got):
    assert driver.same(expected, got)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ("10", Decimal("10.01")),
        ({"amount": "1.5"}, {"more": 1}),
        (["1", "2"], [Decimal(1)]),
        ("2024-01-31", "2024-02-01"),
        (True, "true"),
        (None, Decimal(0)),
    ],
)
def test_other_results_are_told_apart(expected, got):
    assert not driver.same(expected, got)


def test_a_directory_without_vectors_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        driver.read(tmp_path)
