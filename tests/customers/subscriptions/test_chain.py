from datetime import UTC, datetime

import pytest

from customers.subscriptions.chain import (
    PhaseSpan,
    change_spans,
    end_chain,
    find_first_difference,
    join_spans,
    split_span,
)


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def span(kind: str, start: int, end: int | None = None, version: int = 1) -> PhaseSpan:
    return PhaseSpan(kind, version, day(start), day(end) if end else None)


TRIAL_THEN_ACTIVE = [span("trial", 1, 10), span("active", 10)]


def pause(phase: PhaseSpan) -> PhaseSpan:
    return PhaseSpan("paused", phase.version_id, phase.starts_at, phase.ends_at)


@pytest.mark.parametrize(
    ("at", "remaining"),
    [
        (15, [span("trial", 1, 10), span("active", 10, 15)]),
        (10, [span("trial", 1, 10)]),
        (5, [span("trial", 1, 5)]),
        (1, []),
    ],
)
def test_ending_a_chain_removes_later_spans(at, remaining):
    assert end_chain(TRIAL_THEN_ACTIVE, day(at)) == remaining


def test_splitting_a_span_keeps_both_halves():
    assert split_span([span("active", 1)], day(5)) == [span("active", 1, 5), span("active", 5)]
    assert split_span([span("active", 1, 5)], day(5)) == [span("active", 1, 5)]


def test_a_change_applies_only_between_its_start_and_end():
    assert change_spans([span("active", 1)], pause, day(5), day(8)) == [
        span("active", 1, 5),
        span("paused", 5, 8),
        span("active", 8),
    ]


def test_an_open_ended_change_applies_until_the_end():
    assert change_spans(TRIAL_THEN_ACTIVE, pause, day(5)) == [span("trial", 1, 5), span("paused", 5)]


def test_neighbors_with_the_same_content_are_joined():
    assert join_spans([span("active", 1, 5), span("active", 5, 9), span("active", 9, version=2)]) == [
        span("active", 1, 9),
        span("active", 9, version=2),
    ]


@pytest.mark.parametrize(
    ("old", "new", "since"),
    [
        (TRIAL_THEN_ACTIVE, TRIAL_THEN_ACTIVE, None),
        ([], TRIAL_THEN_ACTIVE, 1),
        (TRIAL_THEN_ACTIVE, [], 1),
        (TRIAL_THEN_ACTIVE, end_chain(TRIAL_THEN_ACTIVE, day(15)), 15),
        (TRIAL_THEN_ACTIVE, end_chain(TRIAL_THEN_ACTIVE, day(10)), 10),
        (TRIAL_THEN_ACTIVE, end_chain(TRIAL_THEN_ACTIVE, day(4)), 4),
        (TRIAL_THEN_ACTIVE, change_spans(TRIAL_THEN_ACTIVE, pause, day(12), day(13)), 12),
        ([span("active", 1)], [span("active", 1, version=2)], 1),
        ([span("active", 1, 5)], [span("active", 1, 7)], 5),
    ],
)
def test_the_first_difference_is_the_earliest_moment_that_changed(old, new, since):
    assert find_first_difference(old, new) == (day(since) if since else None)
