"""The SQL of the hot path, read once from events/sql and put together from shared fragments."""

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
SECTION = re.compile(r"^-- :(\w+).*\n", re.MULTILINE)
FRAGMENT = re.compile(r"\{([a-z_]+)\}")


@cache
def sections(name: str) -> dict[str, str]:
    """Read a file that holds several statements, each headed by `-- :name`."""
    parts = SECTION.split((FOLDER / f"{name}.sql").read_text())
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


@cache
def whole(name: str) -> str:
    """Read a file that holds one statement."""
    return (FOLDER / f"{name}.sql").read_text()


def compose(text: str, **fragments: str) -> str:
    """Fill the `{name}` places of a statement from the meter's fragments and those given. Unknown names: KeyError."""
    known = sections("meter") | fragments
    return FRAGMENT.sub(lambda place: compose(known[place[1]], **fragments), text)


@cache
def statement(name: str) -> str:
    """Read a one-statement file and fill it in."""
    return compose(whole(name), states=whole("states"))


@cache
def section(name: str, part: str) -> str:
    """Read one statement of a file that holds several, and fill it in."""
    return compose(sections(name)[part], states=whole("states"))


def counted(scope: str, columns: str = "") -> str:
    """Give the query of the ledger's rows that count, in a scope that joins `feature` and `event`."""
    return compose(whole("counted"), scope=scope, columns=columns)


def sums(rows: str) -> str:
    """Give the query that adds counted rows up as buckets do. `rows` is a table's name or a query in brackets."""
    return compose(whole("sums"), rows=rows)
