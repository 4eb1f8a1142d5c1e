"""The size of the database, and how it grows."""

from datetime import datetime, timedelta

from django.db import connection

from config.monitoring.models import DatabaseSize

KEPT = timedelta(days=400)
COMPARED = timedelta(days=7)


def measure_database() -> int:
    """Return the size of the database on disk, in bytes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])


def note_size(*, now: datetime) -> None:
    """Keep the size of the database, once a day."""
    if DatabaseSize.objects.filter(day=now.date()).exists():
        return
    size = DatabaseSize(day=now.date(), bytes=measure_database())
    DatabaseSize.objects.bulk_create([size], ignore_conflicts=True)
    DatabaseSize.objects.filter(day__lt=(now - KEPT).date()).delete()


def growth_per_day(*, now: datetime) -> int | None:
    """Return by how many bytes the database grew per day in the last week, or None if it isn't known yet."""
    sizes = list(DatabaseSize.objects.filter(day__gte=(now - COMPARED).date()).order_by("day"))
    if len(sizes) < 2:
        return None
    first, last = sizes[0], sizes[-1]
    return (last.bytes - first.bytes) // (last.day - first.day).days
