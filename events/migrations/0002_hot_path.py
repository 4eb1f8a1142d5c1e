"""What the set-based statements need of PostgreSQL: reading a property's value, and room for updates in place."""

from django.db import migrations

FUNCTIONS = """
-- The value at the path that a name's dots spell; null for a name without dots.
CREATE FUNCTION event_path(properties jsonb, field text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE WHEN position('.' in field) > 0 THEN properties #> string_to_array(field, '.') END;

-- A value as people write it: numbers without trailing zeros. Null, objects and arrays have no text.
CREATE FUNCTION event_text(value jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE jsonb_typeof(value)
        WHEN 'string' THEN value #>> '{}'
        WHEN 'number' THEN trim_scale((value #>> '{}')::numeric)::text
        WHEN 'boolean' THEN value #>> '{}'
    END;

-- The number that a string holds, or null: plain decimal digits with an optional sign and exponent.
CREATE FUNCTION event_number(value jsonb) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE
        WHEN jsonb_typeof(value) = 'string'
            AND length(value #>> '{}') <= 200
            AND (value #>> '{}') ~ '^[ \\t\\r\\n]*[-+]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][-+]?[0-9]{1,3})?[ \\t\\r\\n]*$'
        THEN (value #>> '{}')::numeric
    END;

-- Whether properties pass a feature's filters: every key must match, by any of its values.
CREATE FUNCTION event_passes(properties jsonb, filters jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    filters = '{}' OR NOT EXISTS (
        SELECT FROM jsonb_each(filters) AS wanted
        WHERE NOT COALESCE(
            wanted.value @> to_jsonb(event_text(COALESCE(properties -> wanted.key, event_path(properties, wanted.key)))), false
        )
    );

-- A unique count's value as it is stored: long ones by their SHA-256, so that an index can hold them.
CREATE FUNCTION event_unique_key(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE WHEN length(value) <= 200 THEN value
    ELSE 'sha256:' || encode(sha256(convert_to(value, 'UTF8')), 'hex') END;
"""

DROP_FUNCTIONS = """
DROP FUNCTION event_unique_key(text);
DROP FUNCTION event_passes(jsonb, jsonb);
DROP FUNCTION event_number(jsonb);
DROP FUNCTION event_text(jsonb);
DROP FUNCTION event_path(jsonb, text);
"""

# The inbox is a queue: its dead rows must go soon. Buckets are updated in place, many times an hour.
STORAGE = """
ALTER TABLE events_inboxevent SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_insert_scale_factor = 0.5, autovacuum_analyze_scale_factor = 0.5
);
ALTER TABLE events_usagebucket SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE events_uniquevalue SET (fillfactor = 80);
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0001_tables")]

    operations = [
        migrations.RunSQL(FUNCTIONS, DROP_FUNCTIONS),
        migrations.RunSQL(STORAGE, migrations.RunSQL.noop),
    ]
