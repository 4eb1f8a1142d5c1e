"""A check, and the list of all checks. An app adds its own with `register_check`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from billing.kinds import ProofKind
from billing.models import ProofRun
from billing.proofs.findings import Findings


class Part(NamedTuple):
    """A range of a check's objects: primary keys, days or months, both ends included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a check covers in a run, in words and in parts. Each part is a short transaction."""

    scope: str
    parts: Sequence[Part]


class Check(Protocol):
    """A kind of proof."""

    kind: ProofKind

    def cover(self, run: ProofRun) -> Coverage | None:
        """Return what to check in a run; None if the check says nothing about the run's scope."""

    def prove(self, run: ProofRun, part: Part) -> Findings:
        """Check a part. Changes nothing."""


CHECKS: dict[ProofKind, Check] = {}


def register_check(check: Check) -> None:
    """Add a check to the proofs of every night, or replace the one of its kind."""
    CHECKS[check.kind] = check
