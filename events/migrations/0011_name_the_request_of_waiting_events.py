"""The view of waiting events says which request each came in, so that a list reads the newest requests only."""

from django.db import migrations

COLUMNS = """
SELECT
    event.id, event.event_id, event.event_name, event.external_customer_id,
    COALESCE(event.occurred_at, request.received_at) AS occurred_at, event.occurred_at IS NOT NULL AS has_timestamp,
    request.received_at, event.source, request.api_key_id, event.properties{more}
FROM events_inboxrequest AS request
CROSS JOIN LATERAL unnest(
    request.ids, request.event_ids, request.event_names, request.external_customer_ids, request.occurred_at,
    request.sources, request.properties
) AS event (id, event_id, event_name, external_customer_id, occurred_at, source, properties);
"""
WITH_REQUEST = "CREATE OR REPLACE VIEW events_inboxevent AS" + COLUMNS.format(more=", request.id AS request_id")
WITHOUT = "DROP VIEW events_inboxevent; CREATE VIEW events_inboxevent AS" + COLUMNS.format(more="")


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0010_name_large_replays"),
    ]

    operations = [migrations.RunSQL(WITH_REQUEST, WITHOUT)]
