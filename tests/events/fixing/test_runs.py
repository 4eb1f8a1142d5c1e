"""Replays and dismissals of more problems than a request waits for: a worker does them in chunks, safe to repeat."""

import threading

import pytest
from django.db import connection
from django.utils import timezone

from events import tasks
from events.fixing import apply_fix, make_action, runs
from events.ledger import replaying
from events.models import EventState, MendingRun, Problem, ProblemState
from events.models.operations import MendingKind
from tests.admin_pages import as_viewer, url
from tests.events.senders import ledger, process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db
CAUSE = {"cause": "unknown_customer", "external_customer_id": "later"}
FIX = "/admin/events/debugger/fix/"


@pytest.fixture
def seven():
    """Seven events of a customer that came too early."""
    make_feature(event_name="model.usage", field="tokens")
    names = [send("model.usage", customer="later", tokens=number) for number in range(7)]
    process()
    return names


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(runs, "CHUNK_SIZE", 2)
    monkeypatch.setattr("events.fixing.AT_ONCE", 5)
    monkeypatch.setattr("events.admin.causes.AT_ONCE", 5)


def begin(kind=MendingKind.REPLAY, **given) -> MendingRun:
    return runs.start_run(kind, "replay_cause", CAUSE, title="Again", now=timezone.now(), by=None, **given)


def still_open() -> int:
    return Problem.objects.filter(state=ProblemState.OPEN).count()


def test_a_worker_replays_every_event_and_counts_the_results(seven):
    make_customer(external_id="later")
    run = begin()
    assert tasks.continue_fixes() == 4  # 2 + 2 + 2 + 1
    run.refresh_from_db()
    assert (run.events, run.done, run.closed, run.still_open) == (7, 7, 7, 0)
    assert run.finished_at is not None
    assert {ledger(name).state for name in seven} == {EventState.COUNTED}
    assert tasks.continue_fixes() == 0


def test_a_killed_run_continues_where_it_stopped(seven):
    make_customer(external_id="later")
    run = begin()
    runs.begin(run.pk)
    assert runs.fix_chunk(run.pk, now=timezone.now())
    assert still_open() == 5
    tasks.continue_fixes()
    run.refresh_from_db()
    assert (run.done, run.closed, still_open()) == (7, 7, 0)


def test_a_chunk_that_fails_is_repeated_by_the_next_call(seven, monkeypatch):
    make_customer(external_id="later")
    run = begin()
    real = replaying.replay_chunk

    def die(*given):
        real(*given)
        raise ConnectionError

    monkeypatch.setattr(runs, "replay_chunk", die)
    with pytest.raises(ConnectionError):
        runs.fix_chunk(run.pk, now=timezone.now())
    monkeypatch.setattr(runs, "replay_chunk", real)
    assert still_open() == 7
    tasks.continue_fixes()
    run.refresh_from_db()
    assert (run.done, run.closed, still_open()) == (7, 7, 0)


def test_problems_that_remain_stay_open_and_are_counted(seven):
    run = begin()
    tasks.continue_fixes()
    run.refresh_from_db()
    assert (run.done, run.closed, run.still_open) == (7, 0, 7)


def test_events_received_later_are_left_out(seven):
    run = begin()
    send("model.usage", customer="later", tokens=1)
    process()
    tasks.continue_fixes()
    run.refresh_from_db()
    assert run.done == 7


def test_the_same_run_is_started_once_at_a_time(seven):
    assert begin() == begin()
    tasks.continue_fixes()
    assert begin() != MendingRun.objects.order_by("pk").first()


def test_a_dismissal_keeps_its_reason(seven, staff_user):
    run = runs.start_run(
        MendingKind.DISMISS,
        "replay_cause",
        CAUSE,
        title="Dismiss",
        now=timezone.now(),
        by=staff_user,
        reason="A load test",
    )
    tasks.continue_fixes()
    run.refresh_from_db()
    assert (run.done, run.closed) == (7, 7)
    assert set(Problem.objects.values_list("state", "closing", "closed_by")) == {
        (ProblemState.DISMISSED, "A load test", staff_user.pk)
    }


def test_a_run_whose_object_was_deleted_ends(seven):
    run = runs.start_run(
        MendingKind.REPLAY, "activate_feature", {"feature": "999999"}, title="x", now=timezone.now(), by=None
    )
    tasks.continue_fixes()
    run.refresh_from_db()
    assert (run.events, run.done) == (0, 0)
    assert run.finished_at is not None


def test_a_fix_of_many_events_is_applied_at_once_and_replays_in_the_background(seven):
    action = make_action("create_customer", {"external_id": "later", "name": "Later"})
    done = apply_fix(action, now=timezone.now(), by=None)
    assert done.run is not None
    assert still_open() == 7
    tasks.continue_fixes()
    assert still_open() == 0


def test_staff_are_redirected_to_the_progress(seven, staff_client, django_capture_on_commit_callbacks):
    make_customer(external_id="later")
    given = CAUSE | {"action": "replay_cause", "back": "problems", "reason": "Mended"}
    with django_capture_on_commit_callbacks():
        answer = staff_client.post(FIX, given)
    run = MendingRun.objects.get()
    assert answer.url == run.get_absolute_url()
    assert run.parameters == CAUSE
    page = staff_client.get(answer.url).content.decode()
    assert "hx-get" in page
    assert url("events_mendingrun_progress", run.pk) in page
    assert "Replay in the background" in staff_client.get(url("events_problem_causes")).content.decode()
    tasks.continue_fixes()
    shown = staff_client.get(url("events_mendingrun_progress", run.pk)).content.decode()
    assert "Finished</span>" in shown
    assert "hx-get" not in shown
    assert "of 7</span>" in shown


def test_many_problems_are_dismissed_in_the_background(seven, staff_client):
    address = staff_client.get(url("events_problem_causes")).context_data["causes"][0]["dismiss_url"]
    staff_client.post(address, {"_form_submitted": "1", "reason": "A load test"})
    assert still_open() == 7
    tasks.continue_fixes()
    assert set(Problem.objects.values_list("closing", flat=True)) == {"A load test"}


def test_progress_needs_permission_to_view_events(seven):
    run = begin()
    assert as_viewer("catalog").get(url("events_mendingrun_progress", run.pk)).status_code == 403
    assert as_viewer("events").get(url("events_mendingrun_progress", run.pk)).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_two_workers_process_each_chunk_once(seven):
    make_customer(external_id="later")
    run = begin()

    def work():
        try:
            tasks.continue_fixes()
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    tasks.continue_fixes()
    run.refresh_from_db()
    assert (run.done, run.closed, still_open()) == (7, 7, 0)
