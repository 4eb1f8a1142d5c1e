"""Where sealed events are kept: one interface over folders, buckets and other databases, chosen by EVENT_HISTORY.

A store writes a part once, reads it, and never changes it. It decides nothing: which parts exist, and which events
count, is in PostgreSQL.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from events.history.selection import EventSelection

# Imported only if EVENT_HISTORY names them, because their libraries are large.
STORES = {
    "file": "events.history.files.FolderStore",
    "s3": "events.history.bucket.BucketStore",
    "clickhouse": "events.history.clickhouse.ClickHouseStore",
}


class StoreFailed(Exception):
    """The store can't be reached, or a part is missing, truncated or altered."""


class Store(Protocol):
    """A place for parts. Rows are CSV lines of `transfer.COLUMNS`, ordered by customer, name, time and position."""

    def write(self, name: str, rows: Path) -> int:
        """Write a part from a file, entirely or not at all, and return its size in bytes. Writing again replaces it."""

    def read(
        self, names: Sequence[str], selection: EventSelection, *, most: int | None = None, newest: bool | None = None
    ) -> Iterator[bytes]:
        """Yield the selected rows of parts, at most `most`, as blocks of CSV. Raises StoreFailed.

        `newest` takes the latest or the earliest arrivals first.
        """

    def digest(self, name: str) -> str:
        """Return the SHA-256 of the part as it is stored, or an empty text if the store has no such thing."""

    def delete(self, name: str) -> None:
        """Delete a part, if it exists."""

    def names(self) -> Iterator[tuple[str, datetime]]:
        """Yield each stored part with the time when it was written."""

    def check(self) -> None:
        """Raise StoreFailed if the store can't be reached."""


def is_on() -> bool:
    """Tell whether settled events are sealed."""
    return bool(settings.EVENT_HISTORY)


def get_store() -> Store:
    """Return the store that EVENT_HISTORY names."""
    return open_store(settings.EVENT_HISTORY)


@cache
def open_store(url: str) -> Store:
    """Return the store at an address. Raises ImproperlyConfigured."""
    scheme = urlsplit(url).scheme
    if scheme not in STORES:
        known = ", ".join(f"{name}://" for name in STORES)
        raise ImproperlyConfigured(f"EVENT_HISTORY can't begin with “{scheme}://”. Use one of {known}.")
    try:
        store: Store = import_string(STORES[scheme])(url)
    except ModuleNotFoundError as error:
        raise ImproperlyConfigured(
            f"EVENT_HISTORY begins with “{scheme}://”, for which {error.name} isn't installed. "
            "See “Sealed events” in the documentation."
        ) from error
    return store
