"""The golden vectors of other billing systems' own suites, against this product."""

from decimal import Decimal

import pytest

from tests.conformance import driver
from tests.conformance.adapter import CATEGORIES

REPORT = driver.run()


@pytest.mark.parametrize("category", ["pricing", "periods", "proration", "invoices"])
def test_every_core_vector_holds(category):
    failed = [each for each in REPORT.failures() if each.category == category]
    assert not failed, "\n".join(f"{each.vector['id']}: {each.detail}" for each in failed)


def test_every_variant_on_offer_holds():
    failed = REPORT.failures("variant")
    assert not failed, "\n".join(f"{each.vector['id']}: {each.detail}" for each in failed)


def test_what_is_left_out_is_a_whole_operation_or_a_rule():
    assert all(": " in reason for reason in REPORT.not_offered())
    driven = [each for each in REPORT.outcomes if each.category in CATEGORIES]
    assert [each for each in driven if each.status == "not offered" and each.vector["profile"] == "core"] == []


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
        driver.run(tmp_path)
