"""Asking the independent rater: a process that ends at any moment is an error that says how, never an endless wait."""

import os
import signal
from collections.abc import Iterator

import pytest

from billing.proofs import asking
from billing.proofs.asking import EventRow, Question, Rater, RaterProcess, RaterStopped, open_rater
from tests.billing.proofs.rater import questions

KILLED = "The independent rater was killed by signal 9"
MANY = 100_000  # events, more than a pipe holds


@pytest.fixture
def rater() -> Iterator[Rater]:
    with open_rater() as rater:
        yield rater


def question() -> Question:
    version = questions.version([{**questions.price(unit_amount="0.01"), "feature": 7}])
    subscription = questions.subscription(versions={"1": version}, features=[questions.feature(7)])
    return {"subscription": subscription, "period": questions.MONTH}


def kill(rater: Rater) -> None:
    assert rater.process is not None
    os.kill(rater.process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, rater.process.pid, os.WEXITED | os.WNOWAIT)


def events(number: int, *, killing: Rater | None = None) -> Iterator[tuple[int, EventRow]]:
    """Yield events of 1 unit. The process of `killing` ends at half of them."""
    for place in range(number):
        if killing is not None and place == number // 2:
            kill(killing)
        yield 7, ["2026-01-05T00:00:00+00:00", place, "1", None]


def test_a_rater_that_was_killed_before_the_first_line(rater: Rater):
    rater.process = RaterProcess()
    kill(rater)
    with pytest.raises(RaterStopped, match=KILLED):
        rater.needs(question())


def test_a_rater_that_was_killed_before_the_events(rater: Rater):
    rater.needs(question())
    kill(rater)
    with pytest.raises(RaterStopped, match=KILLED):
        rater.answer(events(1))


def test_a_rater_that_is_killed_while_events_are_written(rater: Rater):
    rater.needs(question())
    with pytest.raises(RaterStopped, match=KILLED):
        rater.answer(events(MANY, killing=rater))


def test_the_question_after_it_stopped_is_answered_by_another_process(rater: Rater):
    rater.needs(question())
    kill(rater)
    with pytest.raises(RaterStopped):
        rater.answer(events(1))
    rater.needs(question())
    [line] = rater.answer(events(200))["usage"]
    assert (line["quantity"], line["amount"]) == ("200", "2")


@pytest.mark.parametrize("number", [1, MANY])  # it hangs before it answers, or while it takes events
def test_a_rater_that_hangs_is_ended_and_the_next_question_is_answered(
    rater: Rater, number: int, monkeypatch: pytest.MonkeyPatch
):
    rater.needs(question())
    assert rater.process is not None
    os.kill(rater.process.pid, signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(asking, "LONGEST_WAIT", 0.2)
        with pytest.raises(RaterStopped, match=r"The independent rater gave no answer for 0\.2 seconds"):
            rater.answer(events(number))
    rater.needs(question())
    assert rater.answer(events(1))["usage"]


def test_a_rater_that_fails_says_with_which_error(rater: Rater, caplog: pytest.LogCaptureFixture):
    with pytest.raises(RaterStopped, match="The independent rater ended with status 1: KeyError: 'cycle'"):
        rater.needs({"subscription": {}})
    assert "Traceback" in caplog.text


def test_the_process_ends_with_its_questions():
    with open_rater() as rater:
        rater.needs(question())
        assert rater.process is not None
        pid = rater.process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
