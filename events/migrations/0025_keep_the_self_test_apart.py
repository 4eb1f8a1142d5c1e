from django.db import migrations, models

# As before, without the requests of the self-test's key.
CLAIM = """
CREATE OR REPLACE FUNCTION events_claim(wanted bigint) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    waiting CURSOR FOR
        SELECT id, cardinality(ids) AS events FROM events_inboxrequest
        {condition}
        ORDER BY id FOR UPDATE SKIP LOCKED;
    request record;
    chosen bigint[] := '{{}}';
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
OF_CUSTOMERS = (
    "WHERE api_key_id IS NULL"
    " OR api_key_id <> ALL (ARRAY(SELECT own.id FROM events_apikey AS own WHERE own.is_self_test))"
)
VIEW = """
CREATE OR REPLACE VIEW events_inboxevent AS
SELECT
    event.id, event.event_id, event.event_name, event.external_customer_id,
    COALESCE(event.occurred_at, request.received_at) AS occurred_at, event.occurred_at IS NOT NULL AS has_timestamp,
    request.received_at, event.source, request.api_key_id, event.properties, request.id AS request_id
FROM events_inboxrequest AS request
CROSS JOIN LATERAL unnest(
    request.ids, request.event_ids, request.event_names, request.external_customer_ids, request.occurred_at,
    request.sources, request.properties
) AS event (id, event_id, event_name, external_customer_id, occurred_at, source, properties)
{condition}
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0024_add_awaits_approval")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="is_self_test",
            field=models.BooleanField(
                db_default=False,
                default=False,
                editable=False,
                help_text="The product's own key: what it sends is counted by the self-test only, and never stored.",
            ),
        ),
        migrations.RunSQL(CLAIM.format(condition=OF_CUSTOMERS), CLAIM.format(condition="")),
        migrations.RunSQL(VIEW.format(condition=OF_CUSTOMERS), VIEW.format(condition="")),
    ]
