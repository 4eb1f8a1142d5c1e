"""Copy the ids of removed events, ten thousand per transaction."""

from typing import Any

from django.db import migrations

CHUNK = 10_000
COPY = """
WITH chunk AS (
    SELECT event_id FROM events_prunedeventid WHERE event_id > %(after)s ORDER BY event_id LIMIT %(chunk)s
), copied AS (
    INSERT INTO events_knownid (key) SELECT events_key(event_id) FROM chunk ORDER BY 1 ON CONFLICT DO NOTHING
)
SELECT max(event_id) FROM chunk
"""


def copy_ids(apps: Any, schema_editor: Any) -> None:
    after = ""
    with schema_editor.connection.cursor() as cursor:
        while after is not None:
            cursor.execute(COPY, {"after": after, "chunk": CHUNK})
            [after] = cursor.fetchone()


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("events", "0026_add_known_ids")]

    operations = [migrations.RunPython(copy_ids, migrations.RunPython.noop)]
