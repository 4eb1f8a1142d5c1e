"""An entry of a bank file, as all formats give it, and what can be wrong with a file."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from config.refusals import Refused


class BadBankFile(Refused):
    """The file can't be read. The message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class ReadEntry:
    """Money that arrived. `entry_id` is the bank's own id of the entry, unique within the account, if it gives one."""

    booked_on: date
    amount: Decimal
    currency: str
    account: str = ""
    payer_name: str = ""
    payer_iban: str = ""
    text: str = ""
    entry_id: str = ""


@dataclass(slots=True)
class ReadFile:
    """The entries of a file, the number of entries that aren't money received, and the columns of a CSV file."""

    entries: list[ReadEntry] = field(default_factory=list)
    skipped: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    heading: str = ""


def keys_of(entries: list[ReadEntry]) -> list[str]:
    """Return a key for each entry, by which it is known in another file of the account.

    With the bank's id that is its account and id. Without one it is the entry's content, numbered if a file has it
    several times: two payments of $10.00 by Acme on one day are two entries, in each file that has both.
    """
    seen: dict[str, int] = {}
    keys = []
    for entry in entries:
        content = [entry.account, str(entry.booked_on), f"{entry.amount.normalize():f}", entry.currency]
        content += [entry.entry_id] if entry.entry_id else [entry.payer_name, entry.payer_iban, entry.text]
        digest = hashlib.sha256("\x1f".join(content).encode()).hexdigest()
        seen[digest] = seen.get(digest, 0) + 1
        keys.append(digest if seen[digest] == 1 else hashlib.sha256(f"{digest}{seen[digest]}".encode()).hexdigest())
    return keys


def tidy(text: str | None) -> str:
    """Return a text with single spaces and without NUL characters, which PostgreSQL can't store."""
    return " ".join((text or "").replace("\x00", "").split())
