from datetime import UTC, datetime

import pytest

from customers.subscriptions.chain import PhaseSpan, cut, first_difference, joined, overlay, split


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def stretch(kind: str, start: int, end: int | None = None, version: int = 1) -> PhaseSpan:
    return PhaseSpan(kind, version, day(start), day(end) if end else None)


TRIAL_THEN_ACTIVE = [stretch("trial", 1, 10), stretch("active", 10)]


def paused(part: PhaseSpan) -> PhaseSpan:
    return PhaseSpan("paused", part.version_id, part.starts_at, part.ends_at)


@pytest.mark.parametrize(
    ("at", "left"),
    [
        (15, [stretch("trial", 1, 10), stretch("active", 10, 15)]),
        (10, [stretch("trial", 1, 10)]),
        (5, [stretch("trial", 1, 5)]),
        (1, []),
    ],
)
def test_cutting_ends_the_chain_at_the_moment(at, left):
    assert cut(TRIAL_THEN_ACTIVE, day(at)) == left


def test_splitting_keeps_both_halves():
    assert split([stretch("active", 1)], day(5)) == [stretch("active", 1, 5), stretch("active", 5)]
    assert split([stretch("active", 1, 5)], day(5)) == [stretch("active", 1, 5)]


def test_an_overlay_changes_only_its_span():
    assert overlay([stretch("active", 1)], paused, day(5), day(8)) == [
        stretch("active", 1, 5),
        stretch("paused", 5, 8),
        stretch("active", 8),
    ]


def test_an_overlay_without_end_reaches_the_end():
    assert overlay(TRIAL_THEN_ACTIVE, paused, day(5)) == [stretch("trial", 1, 5), stretch("paused", 5)]


def test_neighbours_that_say_the_same_become_one():
    assert joined([stretch("active", 1, 5), stretch("active", 5, 9), stretch("active", 9, version=2)]) == [
        stretch("active", 1, 9),
        stretch("active", 9, version=2),
    ]


@pytest.mark.parametrize(
    ("old", "new", "since"),
    [
        (TRIAL_THEN_ACTIVE, TRIAL_THEN_ACTIVE, None),
        ([], TRIAL_THEN_ACTIVE, 1),
        (TRIAL_THEN_ACTIVE, [], 1),
        (TRIAL_THEN_ACTIVE, cut(TRIAL_THEN_ACTIVE, day(15)), 15),
        (TRIAL_THEN_ACTIVE, cut(TRIAL_THEN_ACTIVE, day(10)), 10),
        (TRIAL_THEN_ACTIVE, cut(TRIAL_THEN_ACTIVE, day(4)), 4),
        (TRIAL_THEN_ACTIVE, overlay(TRIAL_THEN_ACTIVE, paused, day(12), day(13)), 12),
        ([stretch("active", 1)], [stretch("active", 1, version=2)], 1),
        ([stretch("active", 1, 5)], [stretch("active", 1, 7)], 5),
    ],
)
def test_the_first_moment_two_chains_differ(old, new, since):
    assert first_difference(old, new) == (day(since) if since else None)
