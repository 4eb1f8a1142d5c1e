"""Runs golden vectors: any directory of files in the format of `vectors/schema.md`.

Numbers are compared by value, only the keys that a vector expects. Every vector passes, fails, or is not offered for
a reason that names an operation, a model type or a rule.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction
from django.test.utils import override_settings

from billing.money import round_to
from catalog.refusals import Refused as RefusedByProduct
from tests.conformance.adapter import CATEGORIES
from tests.conformance.registry import Category, NotOffered, Refused

# What the vectors presume of a company, whatever this one has decided.
SETTINGS = {"EVENT_EARLIEST_YEAR": 2000, "EVENT_LATEST_DAYS_AHEAD": 366, "INVOICE_GRACE_DAYS": 0}
WRONG = (ValueError, LookupError, TypeError, ArithmeticError, DatabaseError, ValidationError, RefusedByProduct)
OWN_VECTORS = Path(__file__).parent / "vectors"

# Peers write unrounded quotients with the digits that their decimals had; from here on the last ones are noise.
QUOTIENT_DIGITS = 16


@dataclass(frozen=True)
class Outcome:
    """What became of one vector. `detail` is the reason it isn't offered, or what came instead of the expected."""

    vector: Mapping[str, Any]
    category: str
    status: str
    detail: str = ""

    @property
    def subject(self) -> str:
        """What the vector is about: its operation, and its model type where it has one."""
        inputs = self.vector["inputs"]
        what = inputs.get("model") or inputs.get("aggregation")
        kind = f" {what['type']}" if isinstance(what, Mapping) else ""
        return f"{self.category} {self.vector['op']}{kind}"


@dataclass
class Report:
    """All outcomes of a run."""

    outcomes: list[Outcome] = field(default_factory=list)

    def failures(self, profile: str = "core") -> list[Outcome]:
        """List the failed vectors of a profile."""
        return [each for each in self.outcomes if each.status == "failed" and each.vector["profile"] == profile]

    def counts(self) -> dict[str, Counter[str]]:
        """Count outcomes by subject, in the order they first came."""
        table: dict[str, Counter[str]] = {}
        for each in self.outcomes:
            table.setdefault(each.subject, Counter())[each.status] += 1
        return table

    def total(self) -> Counter[str]:
        """Count all outcomes by status."""
        return Counter(each.status for each in self.outcomes)

    def not_offered(self) -> Counter[str]:
        """Count the vectors that aren't offered, by reason."""
        return Counter(each.detail for each in self.outcomes if each.status == "not offered")


@dataclass(frozen=True)
class VectorFile:
    """One file's vectors, all of one category."""

    category: str
    vectors: list[Mapping[str, Any]]

    @property
    def needs_database(self) -> bool:
        """Tell whether running it writes rows, which are rolled back after every vector."""
        return self.category in CATEGORIES and CATEGORIES[self.category].needs_database


def read(directory: Path = OWN_VECTORS) -> list[VectorFile]:
    """Read every JSON file in a directory. Raises `FileNotFoundError` when there is none."""
    files = sorted(directory.glob("*.json"))
    if not files:
        raise FileNotFoundError(f"No vector files (*.json) in {directory}")
    contents = [json.loads(path.read_text(), parse_float=Decimal) for path in files]
    return [VectorFile(content["category"], content["vectors"]) for content in contents]


def run(files: Iterable[VectorFile]) -> Report:
    """Run the vectors of all files. Where one needs a database, it is the default one, and stays as it was."""
    with override_settings(**SETTINGS):
        return Report([run_vector(file.category, vector) for file in files for vector in file.vectors])


def run_vector(name: str, vector: Mapping[str, Any]) -> Outcome:
    """Call the product with a vector's inputs and judge what it answers."""
    category = CATEGORIES.get(name)
    if category is None:
        return Outcome(vector, name, "failed", f"unknown category {name}")
    if reason := _not_offered(category, vector):
        return Outcome(vector, name, "not offered", reason)
    try:
        got = _call(category, vector)
    except NotOffered as refusal:
        return Outcome(vector, name, "not offered", str(refusal))
    expected = vector["expected"]
    if same(expected, got):
        return Outcome(vector, name, "passed")
    shown = {key: got[key] for key in expected if key in got} or got
    return Outcome(vector, name, "failed", f"expected {_plain(expected)}, got {_plain(shown)}")


def _not_offered(category: Category, vector: Mapping[str, Any]) -> str | None:
    operation = vector["op"]
    if operation in category.not_offered:
        return f"{operation}: {category.not_offered[operation]}"
    return category.declines(vector["policy"]) if vector["profile"] == "variant" else None


def _call(category: Category, vector: Mapping[str, Any]) -> dict[str, Any]:
    operation = category.operations.get(vector["op"])
    if operation is None:
        return {"error": f"unknown operation {vector['op']}"}
    try:
        with undone() if category.needs_database else nullcontext():
            return operation(vector["inputs"], vector["policy"])
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
    if wanted == actual:
        return True
    exponent = wanted.as_tuple().exponent
    if len(wanted.as_tuple().digits) < QUOTIENT_DIGITS or not isinstance(exponent, int) or exponent >= 0:
        return False
    places = -exponent - 1
    return round_to(actual, places) == round_to(wanted, places)


def _scalar(value: Any) -> Decimal | datetime | str:
    text = str(value)
    try:
        return Decimal(text)
    except InvalidOperation:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


def _plain(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
