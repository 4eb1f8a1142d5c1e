"""How much space the database has."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from config.limits import GIB

EXTEND_DISK = (
    "Extend the disk, or delete what isn't needed. Below 64 MB, events are refused. LEDGER_DAYS and LOG_DAYS limit what"
    " is kept."
)


@dataclass(frozen=True, slots=True)
class Space:
    """The disk of the embedded PostgreSQL."""

    path: Path
    total: int
    free: int


def measure_disk() -> Space | None:
    """Return the space of the embedded PostgreSQL's disk, or None if the database is elsewhere."""
    pgdata: Path = settings.DATA_DIR / "postgres" / "data"
    if not (pgdata / "postmaster.pid").exists():
        return None
    usage = shutil.disk_usage(pgdata)
    return Space(pgdata, usage.total, usage.free)


def write_size(size: float) -> str:
    """Write a number of bytes for people.

    >>> write_size(1.5 * 2**30), write_size(20 * 2**20)
    ('1.5 GB', '20 MB')
    """
    return f"{size / GIB:,.1f} GB" if abs(size) >= GIB else f"{size / 2**20:,.0f} MB"
