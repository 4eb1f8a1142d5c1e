from django.db import migrations

# As events/sql/repeats.sql does for new conflicts, but two external ids of one customer count as different customers.
FILL = """
UPDATE events_duplicateevent AS conflict
SET differs = array_remove(ARRAY[
    CASE WHEN first.external_customer_id <> conflict.external_customer_id THEN 'external_customer_id' END,
    CASE WHEN first.source <> conflict.source THEN 'source' END,
    CASE WHEN first.event_name <> conflict.event_name THEN 'event_name' END,
    CASE
        WHEN first.has_timestamp AND first.occurred_at <> (conflict.body ->> 'timestamp')::timestamptz THEN 'timestamp'
    END,
    CASE WHEN first.properties <> conflict.body -> 'properties' THEN 'properties' END
], NULL)
FROM events_event AS first
WHERE conflict.kind = 'conflict' AND first.event_id = conflict.event_id
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0018_add_notified_conflicts")]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
