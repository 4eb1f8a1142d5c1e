"""The inbox takes a row a request instead of a row an event: half the work on the way in, and on the way out."""

import django.contrib.postgres.fields
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

# Arrays of a large request lie outside the row, as they are: compressing them costs more than it saves in so short a life.
STORAGE = """
ALTER TABLE events_inboxrequest
    ALTER COLUMN event_ids SET STORAGE EXTERNAL, ALTER COLUMN event_names SET STORAGE EXTERNAL,
    ALTER COLUMN external_customer_ids SET STORAGE EXTERNAL, ALTER COLUMN occurred_at SET STORAGE EXTERNAL,
    ALTER COLUMN sources SET STORAGE EXTERNAL, ALTER COLUMN properties SET STORAGE EXTERNAL,
    ALTER COLUMN ids SET STORAGE EXTERNAL,
    ADD CONSTRAINT inbox_arrays_are_whole CHECK (
        cardinality(event_ids) > 0
        AND cardinality(event_names) = cardinality(event_ids)
        AND cardinality(external_customer_ids) = cardinality(event_ids)
        AND cardinality(occurred_at) = cardinality(event_ids)
        AND cardinality(sources) = cardinality(event_ids)
        AND cardinality(properties) = cardinality(event_ids)
    );
-- A queue: its dead rows must go soon.
ALTER TABLE events_inboxrequest SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_insert_scale_factor = 0.5, autovacuum_analyze_scale_factor = 0.5
);
CREATE SEQUENCE events_arrival OWNED BY events_inboxrequest.ids;
SELECT setval('events_arrival', GREATEST(
    1, (SELECT max(id) FROM events_event), (SELECT max(id) FROM events_inboxevent)
));
"""

# What waits while this is applied goes on waiting, in the same order.
MOVE = """
LOCK TABLE events_inboxevent IN ACCESS EXCLUSIVE MODE;
INSERT INTO events_inboxrequest (
    received_at, api_key_id, event_ids, event_names, external_customer_ids, occurred_at, sources, properties
)
SELECT
    received_at, api_key_id, ARRAY[event_id], ARRAY[event_name], ARRAY[external_customer_id],
    ARRAY[CASE WHEN has_timestamp THEN occurred_at END], ARRAY[source], ARRAY[properties]
FROM events_inboxevent ORDER BY id;
DROP TABLE events_inboxevent;
"""

VIEW = """
CREATE VIEW events_inboxevent AS
SELECT
    event.id, event.event_id, event.event_name, event.external_customer_id,
    COALESCE(event.occurred_at, request.received_at) AS occurred_at, event.occurred_at IS NOT NULL AS has_timestamp,
    request.received_at, event.source, request.api_key_id, event.properties
FROM events_inboxrequest AS request
CROSS JOIN LATERAL unnest(
    request.ids, request.event_ids, request.event_names, request.external_customer_ids, request.occurred_at,
    request.sources, request.properties
) AS event (id, event_id, event_name, external_customer_id, occurred_at, source, properties);
"""

# A loop, because LIMIT counts rows and not the events in them. An explicit cursor locks no row that isn't taken.
CLAIM = """
CREATE FUNCTION events_claim(wanted bigint) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    waiting CURSOR FOR
        SELECT id, cardinality(ids) AS events FROM events_inboxrequest ORDER BY id FOR UPDATE SKIP LOCKED;
    request record;
    chosen bigint[] := '{}';
    events bigint := 0;
BEGIN
    OPEN waiting;
    WHILE events < wanted LOOP
        FETCH waiting INTO request;
        EXIT WHEN NOT FOUND;
        chosen := chosen || request.id;
        events := events + request.events;
    END LOOP;
    RETURN chosen;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0007_read_causes_from_an_index"),
    ]

    operations = [
        migrations.CreateModel(
            name="InboxRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("received_at", models.DateTimeField()),
                (
                    "ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        help_text="Places in the order of arrival, which stay with the events.",
                        size=None,
                    ),
                ),
                ("event_ids", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                ("event_names", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                (
                    "external_customer_ids",
                    django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None),
                ),
                (
                    "occurred_at",
                    django.contrib.postgres.fields.ArrayField(base_field=models.DateTimeField(null=True), size=None),
                ),
                ("sources", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                ("properties", django.contrib.postgres.fields.ArrayField(base_field=models.JSONField(), size=None)),
                (
                    "api_key",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="events.apikey",
                    ),
                ),
            ],
            options={
                "verbose_name": "waiting request",
                "ordering": ["pk"],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="inboxrequest",
            trigger=pgtrigger.compiler.Trigger(
                name="number_waiting_events",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n                    IF cardinality(NEW.event_ids) = 1 THEN  -- by far the quickest, and what single requests are\n                        NEW.ids := ARRAY[nextval('events_arrival')];\n                    ELSE\n                        NEW.ids := ARRAY(\n                            SELECT nextval('events_arrival') FROM generate_series(1, cardinality(NEW.event_ids))\n                        );\n                    END IF;\n                    RETURN NEW;\n                ",
                    hash="3f20a45d24fba2f2346dce14b2086bdec45b6681",
                    operation="INSERT",
                    pgid="pgtrigger_number_waiting_events_aaeb4",
                    table="events_inboxrequest",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.RunSQL(STORAGE),
        migrations.RunSQL(MOVE),
        migrations.AlterModelOptions(
            name="inboxevent",
            options={"managed": False, "ordering": ["pk"], "verbose_name": "waiting event"},
        ),
        migrations.RunSQL(VIEW),
        migrations.RunSQL(CLAIM),
    ]
