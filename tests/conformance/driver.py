"""Runs golden vectors: any directory of files in the format of `vectors/schema.md`.

Numbers are compared by value, only the keys that a vector expects. Every vector passes, fails, or is not offered for
a reason that names an operation, a model type or a rule.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from billing.money import round_to
from tests.conformance.adapter import CATEGORIES, NOT_DRIVEN
from tests.conformance.registry import Category, NotOffered, Refused

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
        model = self.vector["inputs"].get("model")
        kind = f" {model['type']}" if isinstance(model, Mapping) else ""
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


def run(directory: Path = OWN_VECTORS) -> Report:
    """Run every vector of every JSON file in a directory. Raises `FileNotFoundError` when there is none."""
    files = sorted(directory.glob("*.json"))
    if not files:
        raise FileNotFoundError(f"No vector files (*.json) in {directory}")
    return Report([outcome for path in files for outcome in run_file(path)])


def run_file(path: Path) -> Iterator[Outcome]:
    """Run the vectors of one file."""
    with path.open() as handle:
        content = json.load(handle, parse_float=Decimal)
    for vector in content["vectors"]:
        yield run_vector(content["category"], vector)


def run_vector(name: str, vector: Mapping[str, Any]) -> Outcome:
    """Call the product with a vector's inputs and judge what it answers."""
    if name in NOT_DRIVEN:
        return Outcome(vector, name, "not offered", f"{name}: {NOT_DRIVEN[name]}")
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
        return operation(vector["inputs"], vector["policy"])
    except Refused as refusal:
        return {"error": refusal.code}
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        # One vector that the product can't take must not hide the result of the others.
        return {"error": f"{type(error).__name__}: {error}"}


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
