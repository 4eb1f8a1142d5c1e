"""Ids of events that left the ledger are known as sixteen bytes, also those that the last release removes."""

import hashlib
from importlib import import_module
from uuid import UUID

import pytest
from django.apps import apps
from django.db import connection

from events.models import KnownId, PrunedEventId

pytestmark = pytest.mark.django_db
TIME_ORDERED = "0198c0de-7e57-7abc-8def-0123456789ab"


def key_of(event_id: str) -> UUID:
    with connection.cursor() as cursor:
        cursor.execute("SELECT events_key(%s)", [event_id])
        key: UUID = cursor.fetchone()[0]
    return key


def test_a_uuid_is_its_own_key():
    assert key_of(TIME_ORDERED) == UUID(TIME_ORDERED)


@pytest.mark.parametrize(
    "event_id",
    [
        "req_1",
        TIME_ORDERED.upper(),
        TIME_ORDERED.replace("-", "a", 1),
        "-" + TIME_ORDERED[:8] + TIME_ORDERED[9:],
        f"{{{TIME_ORDERED}}}",
        "Grüße 𝄞",
        " ",
        TIME_ORDERED + "\n",
    ],
)
def test_any_other_id_is_hashed(event_id):
    assert key_of(event_id) == UUID(bytes=hashlib.sha256(event_id.encode()).digest()[:16])


def test_ids_that_the_last_release_removes_are_known():
    PrunedEventId.objects.bulk_create(PrunedEventId(event_id=event_id) for event_id in ("req_1", TIME_ORDERED))
    PrunedEventId.objects.bulk_create([PrunedEventId(event_id="req_1")], ignore_conflicts=True)
    assert KnownId.objects.among(["req_1", "req_2", TIME_ORDERED]) == {"req_1", TIME_ORDERED}
    assert KnownId.objects.count() == 2


def test_the_migration_copies_all_ids_in_chunks(monkeypatch):
    migration = import_module("events.migrations.0027_copy_pruned_ids")
    monkeypatch.setattr(migration, "CHUNK", 2)
    ids = {f"req_{number}" for number in range(7)}
    PrunedEventId.objects.bulk_create(PrunedEventId(event_id=event_id) for event_id in sorted(ids))
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE NONE")
        cursor.execute("DELETE FROM events_knownid WHERE key <> events_key('req_3')")
        cursor.execute("RESET ROLE")
    for _ in range(2):
        with connection.schema_editor(atomic=False) as editor:
            migration.copy_ids(apps, editor)
        assert KnownId.objects.among(sorted(ids)) == ids
