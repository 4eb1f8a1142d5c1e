"""The stages of a pass: how long each took, and where it stopped."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import httpx
from django.core.exceptions import ValidationError
from django.db import DatabaseError

from billing.models import SelfTestStage
from billing.wording import plain
from config.db.errors import describe_error
from config.refusals import Refused


class Differs(Exception):
    """A stage's result isn't what was expected; the message says both."""


EXPECTED_FAILURES = (Differs, Refused, ValidationError, DatabaseError, httpx.HTTPError)


def expect(what: str, actual: Any, expected: Any) -> None:
    """Raise `Differs` unless a result is what was expected."""
    if actual != expected:
        raise Differs(f"{what}: {_show(actual)} instead of {_show(expected)}.")


def _show(value: Any) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)


@dataclass
class Stages:
    """A `with` block of stages. What a stage raises is recorded; an error that no stage expects is raised on."""

    milliseconds: dict[str, int] = field(default_factory=dict)
    current: SelfTestStage = SelfTestStage.ACCEPTED
    problem: str = ""

    @contextmanager
    def stage(self, stage: SelfTestStage) -> Iterator[None]:
        self.current, began = stage, time.monotonic()
        yield
        self.milliseconds[stage.value] = round((time.monotonic() - began) * 1000)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self.problem = describe_error(error)
        return isinstance(error, EXPECTED_FAILURES)
