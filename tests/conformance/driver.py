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
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction
from django.test.utils import override_settings

from billing.money import ZERO, exact
from catalog.refusals import Refused as RefusedByProduct
from tests.conformance.adapter import CATEGORIES
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
SCHEMA = "1"
OWN_VECTORS = Path(__file__).parent / "vectors"

# Peers write unrounded quotients with the digits that their decimals had; from here on the last one is noise. Ours
# have a hundred and more.
QUOTIENT_DIGITS, OWN_QUOTIENT_DIGITS = 16, 100


class Unreadable(Exception):
    """There are no vectors there, or what is there isn't in the format. The message says which file, and why."""


class Status(StrEnum):
    """What became of a vector."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_OFFERED = "not offered"
    BY_RULE = "by rule"


@dataclass(frozen=True)
class Outcome:
    """What became of one vector. `detail` is why it wasn't run, or what came instead of the expected.

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
        inputs = self.vector["inputs"]
        what = inputs.get("model") or inputs.get("aggregation")
        kind = f" {what.get('type')}" if isinstance(what, Mapping) else ""
        return f"{self.category} {self.vector['op']}{kind}"

    @property
    def profile(self) -> str:
        return str(self.vector.get("profile", CORE))


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


@dataclass(frozen=True)
class VectorFile:
    """One file's vectors, all of one category."""

    category: str
    vectors: list[Mapping[str, Any]]

    @property
    def needs_database(self) -> bool:
        """Tell whether running it writes rows, which are rolled back after every vector."""
        return CATEGORIES[self.category].needs_database


def read(place: Path = OWN_VECTORS) -> list[VectorFile]:
    """Read a file, or every JSON file in a directory and those below it. Raises `Unreadable`, before any runs."""
    if not place.exists():
        raise Unreadable(f"There is no {place}")
    paths = sorted(place.rglob("*.json")) if place.is_dir() else [place]
    if not paths:
        raise Unreadable(f"No vector files (*.json) in {place}")
    files = [read_file(path) for path in paths]
    if not any(file.vectors for file in files):
        raise Unreadable(f"The files in {place} hold no vectors")
    return files


def read_file(path: Path) -> VectorFile:
    """Read one file's envelope and check each vector's form. Raises `Unreadable`.

    NaN and the infinities, which JSON hasn't got, become the strings that a sender would have to write.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal, parse_constant=str)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path} can't be read: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("vectors"), list):
        raise Unreadable(f"{path} isn't a file of vectors: it has no list of them")
    category, vectors = content.get("category"), content["vectors"]
    if str(content.get("schema", SCHEMA)) != SCHEMA:
        raise Unreadable(f"{path} is of schema {content['schema']}; this reads schema {SCHEMA}")
    if category not in CATEGORIES:
        raise Unreadable(f"{path} is of category {category}; known are {', '.join(CATEGORIES)}")
    if content.get("count", len(vectors)) != len(vectors):
        raise Unreadable(f"{path} says that it holds {content['count']} vectors, and holds {len(vectors)}")
    for place, vector in enumerate(vectors):
        if problem := _malformed(vector):
            name = vector.get("id") if isinstance(vector, dict) else None
            raise Unreadable(f"{path}, vector {name or place}: {problem}")
    return VectorFile(category, vectors)


def _malformed(vector: Any) -> str | None:
    """Say what keeps a vector from being run at all."""
    if not isinstance(vector, dict):
        return "it is no object"
    for name, kind in (("id", str), ("op", str), ("inputs", dict), ("expected", dict)):
        if not isinstance(vector.get(name), kind):
            return f"it has no {name}" if name not in vector else f"its {name} is of the wrong type"
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
    """Call the product with a vector's inputs and judge what it answers."""
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
    """A vector's inputs, which remember who was asked for."""

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
        """Name what was never asked for, other than nulls and empty lists."""
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


def same(expected: Any, got: Any) -> bool:
    """Compare by value: numbers and instants as such, objects by the expected keys only."""
    if isinstance(expected, Mapping):
        return isinstance(got, Mapping) and all(key in got and same(value, got[key]) for key, value in expected.items())
    if isinstance(expected, list):
        return (
            isinstance(got, list)
            and len(expected) == len(got)
            and all(same(*pair) for pair in zip(expected, got, strict=True))
        )
    if expected is None or isinstance(expected, bool) or got is None or isinstance(got, bool):
        return expected is got
    wanted, actual = _scalar(expected), _scalar(got)
    if isinstance(wanted, Decimal) and isinstance(actual, Decimal):
        return _same_number(wanted, actual)
    return type(wanted) is type(actual) and bool(wanted == actual)


def _same_number(wanted: Decimal, actual: Decimal) -> bool:
    """Take numbers for the same that differ by no more than the last digit to which a quotient was written."""
    with exact():
        apart = abs(wanted - actual)
        return apart <= max(_unsure(wanted, QUOTIENT_DIGITS), _unsure(actual, OWN_QUOTIENT_DIGITS))


def _unsure(number: Decimal, digits: int) -> Decimal:
    """Give the unit of a number's last digit if it is as long as a quotient, else nothing."""
    written = number.as_tuple()
    return Decimal((0, (1,), int(written.exponent))) if len(written.digits) >= digits else ZERO


def _scalar(value: Any) -> Decimal | datetime | str:
    text = str(value)
    try:
        number = Decimal(text)
    except InvalidOperation:
        pass
    else:
        if number.is_finite():
            return number
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


def _plain(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
