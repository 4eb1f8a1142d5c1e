"""One failing row doesn't fail its batch."""

import pytest
from django.contrib.auth.models import Group
from django.db import InterfaceError, OperationalError

from billing.isolation import isolate, unexpected_error

pytestmark = pytest.mark.django_db


class Batch:
    """Work that fails for some rows and writes a group for each of the others; `calls` counts the batches tried."""

    def __init__(self, failing=(), error=ZeroDivisionError):
        self.failing, self.error, self.calls = set(failing), error, 0

    def work(self, rows):
        self.calls += 1
        for row in rows:
            if row in self.failing:
                raise self.error(row)
            Group.objects.create(name=f"row {row}")
        return list(rows)


def saved():
    return set(Group.objects.filter(name__startswith="row ").values_list("name", flat=True))


@pytest.mark.parametrize(
    ("size", "failing", "results", "calls"),
    [
        (0, [], [[]], 1),
        (1, [], [[0]], 1),
        (1, [0], ["0 failed"], 1),
        (4, [], [[0, 1, 2, 3]], 1),
        (4, [2], [[0, 1], "2 failed", [3]], 5),
        (4, [0, 3], ["0 failed", [1], [2], "3 failed"], 7),
        (3, [0, 1, 2], ["0 failed", "1 failed", "2 failed"], 5),
        (5, [4], [[0, 1], [2], [3], "4 failed"], 7),
    ],
)
def test_the_rest_of_a_batch_is_done_and_the_failing_rows_are_found(size, failing, results, calls):
    batch = Batch(failing)
    assert isolate(range(size), batch.work, lambda row, error: f"{row} failed") == results
    assert batch.calls == calls
    assert saved() == {f"row {row}" for row in range(size) if row not in failing}


def test_one_failing_row_of_500_costs_18_more_calls():
    batch = Batch([321])
    isolate(range(500), batch.work, lambda row, error: [])
    assert batch.calls <= 19
    assert len(saved()) == 499


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_lost_database_is_no_rows_fault(error):
    batch = Batch([1], error)
    with pytest.raises(error):
        isolate(range(4), batch.work, lambda row, error: pytest.fail("blamed"))
    assert batch.calls == 1


def test_a_failure_of_an_empty_batch_is_raised():
    with pytest.raises(ZeroDivisionError):
        isolate([], lambda rows: 1 // 0, lambda row, error: 0)


def test_a_caller_may_raise_an_error_it_does_not_expect():
    def refuse(row, error):
        raise error

    with pytest.raises(ZeroDivisionError):
        isolate(range(4), Batch([3]).work, refuse)


def test_an_unexpected_error_is_described_with_its_type_and_never_too_long():
    assert unexpected_error(ZeroDivisionError("a bug")) == "Unexpected error, ZeroDivisionError: a bug"
    assert len(unexpected_error(ValueError("x" * 5_000))) == 2_000
