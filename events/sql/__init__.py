"""The SQL statements of the hot path, composed from shared fragments."""

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
SECTION = re.compile(r"^-- :(\w+).*\n", re.MULTILINE)
FRAGMENT = re.compile(r"\{([a-z_]+)\}")
LEDGER = "events_event"  # what `{ledger}` is by default


@cache
def sections(name: str) -> dict[str, str]:
    """Read a file with several statements, each headed by `-- :name`."""
    parts = SECTION.split((FOLDER / f"{name}.sql").read_text())
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


@cache
def read(name: str) -> str:
    """Read a file with one statement."""
    return (FOLDER / f"{name}.sql").read_text()


def compose(text: str, **fragments: str) -> str:
    """Replace each `{name}` in a statement by a fragment of meter.sql or of `fragments`. Raises KeyError."""
    by_name = {"ledger": LEDGER} | sections("meter") | fragments
    return FRAGMENT.sub(lambda match: compose(by_name[match[1]], **fragments), text)


@cache
def statement(name: str) -> str:
    """Read a file with one statement, with its fragments."""
    return compose(read(name), states=read("states"))


@cache
def section(name: str, part: str) -> str:
    """Read a statement of a file with several, with its fragments."""
    return compose(sections(name)[part], states=read("states"))


def counted(scope: str, columns: str = "") -> str:
    """Return the query of the ledger's events that count, in a scope that joins `feature` and `event`."""
    return compose(read("counted"), scope=scope, columns=columns)


def sums(rows: str) -> str:
    """Return the query that adds up counted events per hour. `rows` is a table or a query in parentheses."""
    return compose(read("sums"), rows=rows)
