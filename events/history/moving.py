"""Copy parts to another store. Parts keep their names, so that EVENT_HISTORY alone says where they are."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.db import connection, transaction

from events.history import transfer
from events.history.content import gather_part
from events.history.parquet import ParquetStore
from events.history.proving import PartDifference, prove_part
from events.history.selection import EventSelection
from events.history.stores import Store
from events.models import SealedPart


def copy_parts(source: Store, target: Store) -> Iterator[tuple[SealedPart, list[PartDifference]]]:
    """Copy the parts that the target doesn't have, and prove each there; yield it with what differs. Safe to repeat."""
    copied = {name for name, _ in target.names()}
    for part in SealedPart.objects.readable().order_by("pk"):
        if part.name not in copied:
            _copy(part.name, source, target)
        yield part, prove_part(part, target)


def _copy(name: str, source: Store, target: Store) -> None:
    with TemporaryDirectory(dir=settings.DATA_DIR) as folder:
        rows = Path(folder) / "rows.csv"
        if isinstance(source, ParquetStore) and isinstance(target, ParquetStore):
            source.fetch(name, rows)
            target.put(name, rows)
        else:
            _write_rows(name, source, rows)
            target.write(name, rows)


@transaction.atomic
def _write_rows(name: str, source: Store, rows: Path) -> None:
    with connection.cursor() as cursor:
        gather_part(cursor, source.read([name], EventSelection()))
        transfer.write_rows(cursor, rows)
