"""Runs golden vectors: any directory of files in the format of `vectors/schema.md`.

Numbers are compared by value, only the keys that a vector expects. Every vector passes, fails, or wasn't run: what it
is about isn't offered (an operation, a type of model), or was decided otherwise (a rule). It never passes without
having been run.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction
from django.test.utils import override_settings

from config.refusals import Refused as RefusedByProduct
from tests.conformance.adapter import CATEGORIES
from tests.conformance.comparing import same
from tests.conformance.files import VectorFile
from tests.conformance.registry import Category, DecidedOtherwise, Inputs, NotOffered, Policy, Refused

# What the vectors presume of a company, whatever this one has decided.
SETTINGS = {
    "EVENT_EARLIEST_YEAR": 1900,
    "EVENT_LATEST_DAYS_AHEAD": 366,
    "INVOICE_GRACE_DAYS": 0,
}
WRONG = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, DatabaseError, ValidationError,
    RefusedByProduct,
)  # fmt: skip
CORE, VARIANT = "core", "variant"


class Status(StrEnum):
    """The result of a vector."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_OFFERED = "not offered"
    BY_RULE = "by rule"


@dataclass(frozen=True)
class Outcome:
    """The result of one vector. `detail` is why it wasn't run, or the unexpected result.

    `unread` names inputs that nothing looked at: the vector says more than what was checked.
    """

    vector: Mapping[str, Any]
    category: str
    status: Status
    detail: str = ""
    unread: frozenset[str] = frozenset()

    @property
    def subject(self) -> str:
        """What the vector is about: its operation, and its model type where it has one."""
        inputs = self.vector.get("inputs")
        what = (inputs.get("model") or inputs.get("aggregation")) if isinstance(inputs, Mapping) else None
        kind = f" {what.get('type')}" if isinstance(what, Mapping) else ""
        return f"{self.category} {self.vector.get('op')}{kind}"

    @property
    def profile(self) -> str:
        return VARIANT if self.vector.get("profile") == VARIANT else CORE


@dataclass
class Report:
    """All outcomes of a run."""

    outcomes: list[Outcome] = field(default_factory=list)

    def failures(self, profile: str = CORE) -> list[Outcome]:
        """List the failed vectors of a profile."""
        return [each for each in self.outcomes if each.status == Status.FAILED and each.profile == profile]

    def counts(self) -> dict[str, Counter[Status]]:
        """Count outcomes by subject, in the order they first came."""
        table: dict[str, Counter[Status]] = {}
        for each in self.outcomes:
            table.setdefault(each.subject, Counter())[each.status] += 1
        return table

    def total(self) -> Counter[Status]:
        """Count all outcomes by status."""
        return Counter(each.status for each in self.outcomes)

    def reasons(self, status: Status, profile: str | None = None) -> Counter[str]:
        """Count the vectors that weren't run, by reason, of one profile or of all."""
        chosen = (each for each in self.outcomes if each.status == status and profile in (None, each.profile))
        return Counter(each.detail for each in chosen)

    def unread(self) -> Counter[str]:
        """Count the inputs that nothing looked at, by operation and name."""
        return Counter(f"{each.category} {each.vector['op']}: {name}" for each in self.outcomes for name in each.unread)


def _malformed(vector: Mapping[str, Any]) -> str | None:
    """Return why a vector can't be run."""
    for name, kind in (("op", str), ("inputs", dict), ("expected", dict)):
        if not isinstance(vector.get(name), kind):
            return f"its {name} is of the wrong type" if name in vector else f"it has no {name}"
    if not vector["expected"]:
        return "it expects nothing"
    if not isinstance(vector.get("policy", {}), dict):
        return "its policy is no object"
    if vector.get("profile", CORE) not in (CORE, VARIANT):
        return f"its profile is {vector['profile']}, neither {CORE} nor {VARIANT}"
    return None


def run(files: Iterable[VectorFile]) -> Report:
    """Run the vectors of all files. Where one needs a database, it is the default one, and stays as it was."""
    with override_settings(**SETTINGS):
        return Report([run_vector(file.category, vector) for file in files for vector in file.vectors])


def run_vector(name: str, vector: Mapping[str, Any]) -> Outcome:
    """Call the product with a vector's inputs and compare the result."""
    if problem := _malformed(vector):
        return Outcome(vector, name, Status.FAILED, f"not in the format: {problem}")
    category, policy = CATEGORIES[name], vector.get("policy", {})
    if reason := category.not_offered.get(vector["op"]):
        return Outcome(vector, name, Status.NOT_OFFERED, f"{vector['op']}: {reason}")
    rule = category.declines(policy) if vector.get("profile") == VARIANT else None
    if rule:
        return Outcome(vector, name, Status.BY_RULE, rule)
    inputs = Watched(vector["inputs"])
    try:
        got = _call(category, vector["op"], inputs, policy)
    except NotOffered as refusal:
        return Outcome(vector, name, Status.NOT_OFFERED, str(refusal))
    except DecidedOtherwise as refusal:
        return Outcome(vector, name, Status.BY_RULE, str(refusal))
    expected = vector["expected"]
    if same(expected, got):
        return Outcome(vector, name, Status.PASSED, unread=frozenset(inputs.unread() - category.informative))
    shown = {key: got[key] for key in expected if key in got} or got
    return Outcome(vector, name, Status.FAILED, f"expected {_plain(expected)}, got {_plain(shown)}")


class Watched(dict[str, Any]):
    """A vector's inputs, which record which of them were read."""

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        super().__init__(inputs)
        self._seen: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self._seen.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._seen.add(name)
        return super().get(name, default)

    def unread(self) -> set[str]:
        """List the inputs that were never read, except nulls and empty lists."""
        return {name for name, value in self.items() if name not in self._seen and value not in (None, [], {})}


def _call(category: Category, name: str, inputs: Inputs, policy: Policy) -> dict[str, Any]:
    operation = category.operations.get(name)
    if operation is None:
        return {"error": f"unknown operation {name}"}
    try:
        with undone() if category.needs_database else nullcontext():
            return operation(inputs, policy)
    except Refused as refusal:
        return {"error": refusal.code}
    except WRONG as error:
        # One vector that the product can't take must not hide the result of the others.
        return {"error": f"{type(error).__name__}: {error}"}


@contextmanager
def undone() -> Iterator[None]:
    """Roll back whatever is written within."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def _plain(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
