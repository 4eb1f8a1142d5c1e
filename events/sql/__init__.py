"""The SQL statements of the hot path, composed from shared fragments."""

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
SECTION = re.compile(r"^-- :(\w+).*\n", re.MULTILINE)
FRAGMENT = re.compile(r"\{([a-z_]+)\}")
COLUMNS = """
    id, customer_id, api_key_id, occurred_at, received_at, processed_at, state, has_timestamp,
    event_id, event_name, external_customer_id, source, properties, is_touched
"""
# What a statement reads as the ledger: the table, or with it the sealed events in this transaction's scratch table. An
# event that returned to the ledger after the scratch table was filled is in both, and is touched.
LEDGER = {"ledger": "events_event", "is_once": "true"}
LEDGER_WITH_SEALED = {
    "ledger": f"(SELECT {COLUMNS} FROM events_event UNION ALL SELECT {COLUMNS} FROM sealed)",  # noqa: S608  constants
    "is_once": "NOT (event.is_touched AND EXISTS (SELECT FROM sealed WHERE sealed.id = event.id))",
}


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
    by_name = LEDGER | sections("meter") | fragments
    return FRAGMENT.sub(lambda match: compose(by_name[match[1]], **fragments), text)


@cache
def statement(name: str) -> str:
    """Read a file with one statement, with its fragments."""
    return compose(read(name), states=read("states"))


@cache
def section(name: str, part: str) -> str:
    """Read a statement of a file with several, with its fragments."""
    return compose(sections(name)[part], states=read("states"))


def counted(scope: str, columns: str = "", *, with_sealed: bool = False) -> str:
    """Return the query of the ledger's events that count, in a scope that joins `feature` and `event`."""
    return compose(read("counted"), scope=scope, columns=columns, **ledger_of(with_sealed=with_sealed))


def ledger_of(*, with_sealed: bool) -> dict[str, str]:
    """Return the fragments of the ledger, with or without the transaction's sealed events."""
    return LEDGER_WITH_SEALED if with_sealed else LEDGER


def sums(rows: str) -> str:
    """Return the query that adds up counted events per hour. `rows` is a table or a query in parentheses."""
    return compose(read("sums"), rows=rows)
