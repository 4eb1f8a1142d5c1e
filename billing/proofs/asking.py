"""The process of the independent rater: started here, asked one question after another, ended at the end."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from django.conf import settings

COMMAND = [sys.executable, "-m", "billing.proofs.rater"]
EVENTS_AT_A_TIME = 2_000

type Question = dict[str, Any]
type Answer = dict[str, Any]
type Need = dict[str, Any]
type EventRow = Sequence[Any]


class RaterStopped(RuntimeError):
    """The rater's process ended without an answer. Its errors are in the worker's log."""


class Rater:
    """Asks a running process. It knows nothing but the question and the events that it then asks for."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def needs(self, question: Question) -> list[Need]:
        """Ask about an invoice; return which events the answer needs: a feature's, from `start` up to `end`."""
        self._send(question)
        needs: list[Need] = self._receive()["needs"]
        return needs

    def answer(self, events: Iterable[tuple[int, EventRow]]) -> Answer:
        """Send the events, as (feature, row) in the order of time for each feature, and return the answer."""
        for feature, rows in _batched(events):
            self._send({"feature": feature, "events": rows})
        self._send({"end": True})
        return self._receive()

    def _send(self, message: dict[str, Any]) -> None:
        _pipe(self._process.stdin).write(json.dumps(message) + "\n")

    def _receive(self) -> dict[str, Any]:
        _pipe(self._process.stdin).flush()
        line = _pipe(self._process.stdout).readline()
        if not line:
            raise RaterStopped(f"The rater's process ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def open_rater() -> Iterator[Rater]:
    """Start the rater for some questions. It gets no settings, no secrets and no database."""
    with subprocess.Popen(
        COMMAND,
        cwd=settings.BASE_DIR,
        env={},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            yield Rater(process)
        finally:
            process.kill()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise RaterStopped("The rater has no pipes")
    return pipe


def _batched(events: Iterable[tuple[int, EventRow]]) -> Iterator[tuple[int, list[EventRow]]]:
    """Collect the rows of the same feature, so that memory use is constant."""
    feature, rows = 0, list[EventRow]()
    for number, row in events:
        if rows and (number != feature or len(rows) >= EVENTS_AT_A_TIME):
            yield feature, rows
            rows = []
        feature = number
        rows.append(row)
    if rows:
        yield feature, rows
