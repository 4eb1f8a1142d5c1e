"""Background work: short turns, chunks that workers claim, no garbage collection within a piece of work."""

import gc
import threading

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.utils import timezone

from config import jobs
from config.jobs import claim, cut_into_ranges, gc_paused, percent_done, run_for_a_turn
from events.models import MendingRun


def test_collection_is_resumed_afterwards_even_after_a_failure():
    with gc_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), gc_paused():
        1 / 0  # noqa: B018  a failure of the work's own
    assert gc.isenabled()


def test_an_inner_pause_leaves_resuming_to_the_outer():
    with gc_paused():
        with gc_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_turn_takes_all_steps_if_there_is_time():
    continued = []
    assert run_for_a_turn([1, 2, 3], lambda: continued.append("later")) == 6
    assert continued == []


def test_a_turn_that_is_over_continues_later(monkeypatch):
    monkeypatch.setattr(jobs, "LONGEST_RUN_S", 0)
    steps, continued = iter([1, 2, 3]), []
    assert run_for_a_turn(steps, lambda: continued.append("later")) == 1
    assert continued == ["later"]
    assert list(steps) == [2, 3]


def test_a_failing_step_is_raised_and_not_continued(monkeypatch):
    continued = []
    with pytest.raises(ZeroDivisionError):
        run_for_a_turn((1 // number for number in (1, 0)), lambda: continued.append("later"))
    assert continued == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("size", "ranges"),
    [
        (1, [(0, 0, 1), (1, 1, 1), (3, 3, 1), (4, 4, 1)]),
        (2, [(0, 1, 2), (3, 4, 2)]),
        (3, [(0, 3, 3), (4, 4, 1)]),
        (9, [(0, 4, 4)]),
    ],
)
def test_ids_are_cut_into_ranges_of_a_size_whatever_gaps_they_have(size, ranges, django_assert_num_queries):
    groups = [Group.objects.create(name=f"group {number}") for number in range(5)]
    groups[2].delete()
    chosen = Group.objects.filter(name__startswith="group ")
    with django_assert_num_queries(1):
        cut = cut_into_ranges(chosen.values("pk"), size)
    first = groups[0].pk
    assert [(ids.first_id - first, ids.last_id - first, ids.size) for ids in cut] == ranges


@pytest.mark.django_db
def test_no_ids_make_no_range():
    assert cut_into_ranges(Group.objects.filter(name="").values("pk"), 2) == []


@pytest.mark.django_db(transaction=True)
def test_each_worker_claims_another_unfinished_row():
    now = timezone.now()
    first, second, third = (
        MendingRun.objects.create(
            kind="replay", title=name, action="replay_cause", parameters={"name": name}, last_event=0, started_at=now
        )
        for name in ("first", "second", "third")
    )
    MendingRun.objects.filter(pk=first.pk).update(finished_at=now)
    claimed = []

    def work():
        with transaction.atomic():
            claimed.append(claim(MendingRun.objects.order_by("pk")))
        connection.close()

    with transaction.atomic():
        assert claim(MendingRun.objects.order_by("pk")) == second
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
        assert claim(MendingRun.objects.filter(pk=first.pk)) is None
    assert claimed == [third]


@pytest.mark.parametrize(("done", "total", "percent"), [(0, 3, 0), (2, 3, 66), (3, 3, 100), (4, 3, 100), (0, 0, 100)])
def test_progress_is_rounded_down_and_at_most_100_percent(done, total, percent):
    assert percent_done(done, total) == percent
