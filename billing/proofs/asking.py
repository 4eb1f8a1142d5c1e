"""The process of the independent rater: started here, asked one question after another, ended at the end."""

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from threading import Timer
from typing import IO, Any

from django.conf import settings

log = logging.getLogger(__name__)

COMMAND = [sys.executable, "-m", "billing.proofs.rater"]
EVENTS_AT_A_TIME = 2_000
LONGEST_WAIT = 600.0  # seconds; below the time that the database lets a task's transaction be idle

type Question = dict[str, Any]
type Answer = dict[str, Any]
type Need = dict[str, Any]
type EventRow = Sequence[Any]
type Message = dict[str, Any]


class RaterStopped(RuntimeError):
    """The rater's process ended, or was ended, without an answer. The message says how, with its last error."""


class Rater:
    """Asks the rater, which knows nothing but the question and the events that it then asks for.

    Its process starts with the first question. If it stopped, the next question starts another one.
    """

    def __init__(self) -> None:
        self.process: RaterProcess | None = None

    def needs(self, question: Question) -> list[Need]:
        """Ask about an invoice; return which events the answer needs: a feature's, from `start` up to `end`."""
        needs: list[Need] = self._ask([question])["needs"]
        return needs

    def answer(self, events: Iterable[tuple[int, EventRow]]) -> Answer:
        """Send the events, as (feature, row) in the order of time for each feature, and return the answer."""
        batches = ({"feature": feature, "events": rows} for feature, rows in _batched(events))
        return self._ask(chain(batches, [{"end": True}]))

    def end(self) -> None:
        """End the process, whatever it is doing."""
        if self.process is not None:
            self.process.end()
            self.process = None

    def _ask(self, messages: Iterable[Message]) -> Message:
        """Send messages and return the answer to the last one. Raises `RaterStopped`."""
        if self.process is None:
            self.process = RaterProcess()
        try:
            for message in messages:
                self.process.send(message)
            return self.process.receive()
        except RaterStopped:
            self.end()
            raise


class RaterProcess:
    """A process of the rater. It gets no settings, no secrets and no database.

    If it hangs, so that it doesn't take a message or doesn't answer within `LONGEST_WAIT`, it is killed.
    """

    def __init__(self) -> None:
        self._is_late = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by `end`
        self._process = subprocess.Popen(
            COMMAND,
            cwd=settings.BASE_DIR,
            env={},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: Message) -> None:
        """Send a message as a line. Raises `RaterStopped`."""
        line = json.dumps(message).encode() + b"\n"
        try:
            with self._in_time():
                _pipe(self._process.stdin).write(line)
        except OSError as error:
            raise self._stopped() from error

    def receive(self) -> Message:
        """Wait for the answer to what was sent. Raises `RaterStopped`."""
        try:
            with self._in_time():
                _pipe(self._process.stdin).flush()
                line = _pipe(self._process.stdout).readline()
        except OSError as error:
            raise self._stopped() from error
        if not line.endswith(b"\n"):  # a process that is killed can leave a part of a line
            raise self._stopped()
        answer: Message = json.loads(line)
        return answer

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # closing sends what was buffered, and no one reads it any more
                _pipe(pipe).close()
        self._errors.close()

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """Kill the process if the block, which waits for it, takes too long."""
        timer = Timer(LONGEST_WAIT, self._give_up)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self._is_late = True
        self._process.kill()

    def _stopped(self) -> RaterStopped:
        """Describe how the process ended, and log all of its errors."""
        ending = self._describe_ending(self._process.wait())
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        log.error("The independent rater %s. %s", ending, "\n".join(lines))
        return RaterStopped(": ".join([f"The independent rater {ending}", *lines[-1:]]))

    def _describe_ending(self, status: int) -> str:
        if self._is_late:
            return f"gave no answer for {LONGEST_WAIT:g} seconds"
        return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


@contextmanager
def open_rater() -> Iterator[Rater]:
    """Yield a rater, and end its process afterwards."""
    rater = Rater()
    try:
        yield rater
    finally:
        rater.end()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RaterStopped("The independent rater has no pipes")
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
