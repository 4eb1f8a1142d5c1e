"""Known ids as sixteen bytes: at first those of events that retention removed. The last release goes on writing its own table."""

from django.db import migrations, models

# A UUID in its usual spelling is itself, so that ids in the order of time stay in it. Of any other id, a part of its SHA-256.
# Not IMMUTABLE, because convert_to isn't, and PostgreSQL would call the function instead of inserting its expression. A
# regular expression takes four times as long.
KEY = """
CREATE FUNCTION events_key(event_id text) RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE RETURN
    CASE
        WHEN length(event_id) = 36 AND translate(event_id, '0123456789abcdef', '') = '----'
            AND substr(event_id, 9, 1) || substr(event_id, 14, 1) || substr(event_id, 19, 1) || substr(event_id, 24, 1) = '----'
        THEN event_id::uuid
        ELSE encode(substr(sha256(convert_to(event_id, 'UTF8')), 1, 16), 'hex')::uuid
    END;
"""
# Processes of the last release write events_prunedeventid, without privileges for the new table.
COPY = """
CREATE FUNCTION copy_pruned_ids() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO events_knownid (key) SELECT public.events_key(event_id) FROM added ORDER BY 1 ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER copy_pruned_ids AFTER INSERT ON events_prunedeventid
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION copy_pruned_ids();
"""
DROP_COPY = "DROP TRIGGER copy_pruned_ids ON events_prunedeventid; DROP FUNCTION copy_pruned_ids();"


class Migration(migrations.Migration):
    dependencies = [("events", "0025_keep_the_self_test_apart")]

    operations = [
        migrations.RunSQL(KEY, "DROP FUNCTION events_key(text)"),
        migrations.CreateModel(
            name="KnownId",
            fields=[
                (
                    "key",
                    models.UUIDField(
                        help_text="The event_id if it is a UUID, else a part of its SHA-256.",
                        primary_key=True,
                        serialize=False,
                    ),
                )
            ],
        ),
        migrations.RunSQL(COPY, DROP_COPY),
    ]
