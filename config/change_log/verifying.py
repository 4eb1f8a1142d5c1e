"""Verify that the change log is as it was written: no entry was changed, deleted, added or moved afterwards.

The database's functions aren't trusted: the statement below calculates the hash of each entry, and the chain is
calculated here. Only someone who can write to all seals can rewrite entries together with the chain. An anchor, kept
elsewhere, shows that too: the number and hash of an entry, which every later chain must contain.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from django.contrib.auth.models import User
from django.db import connection

from config.change_log.models import ChangeLogCheck
from config.refusals import Refused

CHUNK = 5_000

# The same as in migration `add_change_seals`, which wrote the seals.
CONTENT = """
    sha256(convert_to(jsonb_build_array(
        entry.id, entry.content_type_id, entry.object_pk, entry.object_id, entry.object_repr, entry.serialized_data,
        entry.action, entry.changes_text, entry.changes, entry.cid, host(entry.remote_addr), entry.remote_port,
        extract(epoch FROM entry.timestamp), entry.additional_data, entry.actor_email, seal.actor_id
    )::text, 'UTF8'))
"""
SEALS = f"""
    SELECT
        seal.number, seal.entry_id, seal.content, seal.hash, entry.id IS NOT NULL,
        {CONTENT}, entry.actor_id IS NULL OR entry.actor_id = seal.actor_id
    FROM config_changeseal AS seal
    LEFT JOIN auditlog_logentry AS entry ON entry.id = seal.entry_id
"""  # noqa: S608  no value is inserted
CHAINED = f"{SEALS} WHERE seal.number > %s ORDER BY seal.number LIMIT {CHUNK}"
WAITING = f"{SEALS} WHERE seal.number IS NULL ORDER BY seal.entry_id"
WITHOUT_SEAL = """
    SELECT entry.id FROM auditlog_logentry AS entry
    WHERE NOT EXISTS (SELECT FROM config_changeseal AS seal WHERE seal.entry_id = entry.id)
    ORDER BY entry.id LIMIT 1
"""


class AnchorRefused(Refused):
    """The text isn't an anchor."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A number and hash of the chain that were noted earlier."""

    number: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an anchor such as `1204:9f86…`, with a hash of 64 hexadecimal digits. Raises `AnchorRefused`."""
        number, _, digest = text.strip().partition(":")
        is_hash = len(digest) == 64 and all(digit in "0123456789abcdef" for digit in digest)
        if not (number.isascii() and number.isdigit() and is_hash):
            raise AnchorRefused("An anchor is a number, a colon and a hash of 64 hexadecimal digits: 1204:9f86…")
        return cls(int(number), digest)

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Verification:
    """How many entries are in the chain, its last hash, how many wait to be chained, and the first problem."""

    entries: int
    last_hash: str
    waiting: int
    problem: str = ""

    @property
    def anchor(self) -> Anchor:
        return Anchor(self.entries, self.last_hash)

    def __str__(self) -> str:
        if self.problem:
            return f"Broken: {self.problem}"
        waiting = f"; {self.waiting:,} more will be chained within seconds" if self.waiting else ""
        last = f", last hash {self.last_hash}" if self.last_hash else ""
        return f"{self.entries:,} entries, chain intact{last}{waiting}."


@dataclass(frozen=True, slots=True)
class _Seal:
    number: int | None
    entry_id: int
    content: bytes
    hash: bytes
    entry_exists: bool
    fresh_content: bytes
    has_same_actor: bool

    @classmethod
    def read(cls, row: Sequence[Any]) -> Self:
        values: Any = (bytes(value) if isinstance(value, memoryview) else value for value in row)
        return cls(*values)

    def find_change(self) -> str:
        """Return how the entry differs from what was sealed, or an empty string."""
        name = f"entry {self.entry_id}" + (f", number {self.number}" if self.number else "")
        if not self.entry_exists:
            return f"{name}, was deleted."
        if self.content != self.fresh_content:
            return f"{name}, was changed after it was written."
        if not self.has_same_actor:
            return f"{name}, names another author than the one who wrote it."
        return ""


def verify(anchor: Anchor | None = None) -> Verification:
    """Read the whole change log, and return the first entry that isn't as it was written. Changes nothing.

    Entries that are written meanwhile aren't problems.
    """
    number, digest, noted = 0, b"", ""
    for seal in _read_chained():
        number += 1
        if seal.number != number:
            return Verification(number - 1, digest.hex(), 0, f"number {number} is missing from the chain.")
        if change := seal.find_change():
            return Verification(number - 1, digest.hex(), 0, change)
        digest = link(digest, number, seal.content)
        if seal.hash != digest:
            problem = f"entry {seal.entry_id}, number {number}: its hash doesn't follow from the entries before it."
            return Verification(number, digest.hex(), 0, problem)
        if anchor is not None and number == anchor.number:
            noted = digest.hex()
    waiting = [_Seal.read(row) for row in _rows(WAITING)]
    problem = next((change for seal in waiting if (change := seal.find_change())), "")
    if not problem and (rows := _rows(WITHOUT_SEAL)):
        problem = f"entry {rows[0][0]} was written past the chain."
    if not problem and anchor is not None and noted != anchor.hash:
        problem = _compare(anchor, number)
    return Verification(number, digest.hex(), len(waiting), problem)


def check_change_log(*, now: datetime, by: User | None = None) -> ChangeLogCheck:
    """Verify the change log and keep the result."""
    result = verify()
    return ChangeLogCheck.objects.create(
        checked_at=now, entries=result.entries, last_hash=result.last_hash, problem=result.problem, started_by=by
    )


def link(before: bytes, number: int, content: bytes) -> bytes:
    """Return the hash of a link of the chain.

    >>> link(b"", 1, bytes(32)).hex()[:16]
    '3d0ad12b8ee8928e'
    """
    return hashlib.sha256(before + number.to_bytes(8, "big") + content).digest()


def _compare(anchor: Anchor, entries: int) -> str:
    if anchor.number > entries:
        return f"the chain ends at number {entries}, before the anchor: later entries were deleted."
    return f"number {anchor.number} has another hash than the anchor: the chain was written again."


def _read_chained() -> Iterator[_Seal]:
    number = 0
    while rows := _rows(CHAINED, [number]):
        for row in rows:
            yield _Seal.read(row)
        number = rows[-1][0]


def _rows(statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
