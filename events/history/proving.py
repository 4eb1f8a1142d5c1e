"""Prove that a part is what it was when it was published: the stored object, and every event in it."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection, transaction

from events.history.content import gather_part
from events.history.selection import EventSelection
from events.history.stores import Store, StoreFailed, get_store
from events.models import SealedPart

PARTS_A_NIGHT = 30


@dataclass(frozen=True, slots=True)
class PartDifference:
    """A figure of a part that isn't what it was."""

    figure: str
    stated: str
    found: str


def parts_of_night(day: int) -> list[int]:
    """Return the parts to prove on a day, given by its number: some thirty, so that each has its turn."""
    parts = list(SealedPart.objects.readable().order_by("pk").values_list("pk", flat=True))
    nights = max(-(-len(parts) // PARTS_A_NIGHT), 1)
    return [pk for place, pk in enumerate(parts) if place % nights == day % nights]


def prove_part(part: SealedPart, store: Store | None = None) -> list[PartDifference]:
    """Read a part from the store, and compare it with what was published. Changes nothing."""
    differences: list[PartDifference] = []
    try:
        differences.extend(_compare(part, store or get_store()))
    except StoreFailed as error:
        differences.append(PartDifference("Object", f"{part.rows:,} events", str(error)))
    return differences


def _compare(part: SealedPart, store: Store) -> Iterator[PartDifference]:
    digest = store.digest(part.name)
    if part.digest and digest and digest != part.digest:  # a store without objects has no digests
        yield PartDifference("SHA-256", part.digest, digest)
    with transaction.atomic(), connection.cursor() as cursor:
        content = gather_part(cursor, store.read([part.name], EventSelection()))
        cursor.execute("DELETE FROM gathered")
    if content.rows != part.rows:
        yield PartDifference("Events", f"{part.rows:,}", f"{content.rows:,}")
    elif content.checksum != part.checksum:
        yield PartDifference("Content of its events", f"{part.checksum}", f"{content.checksum}")
