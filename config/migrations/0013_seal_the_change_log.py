"""Seal every entry of the change log in its own transaction, and chain the seals when they are committed."""

from django.db import migrations

# All that an entry says. The author is in the seal as well, because deleting a user empties it in the entry. No part
# depends on the session: `extract` is the same in every time zone.
CONTENT = """
    sha256(convert_to(jsonb_build_array(
        entry.id, entry.content_type_id, entry.object_pk, entry.object_id, entry.object_repr, entry.serialized_data,
        entry.action, entry.changes_text, entry.changes, entry.cid, host(entry.remote_addr), entry.remote_port,
        extract(epoch FROM entry.timestamp), entry.additional_data, entry.actor_email, entry.actor_id
    )::text, 'UTF8'))
"""

# The functions run as their owner, since the application can't write seals.
SEAL = f"""
LOCK TABLE auditlog_logentry IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO config_changeseal (entry_id, actor_id, content)
SELECT entry.id, entry.actor_id, {CONTENT} FROM auditlog_logentry AS entry ORDER BY entry.id;

CREATE FUNCTION seal_new_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO config_changeseal (entry_id, actor_id, content)
    SELECT entry.id, entry.actor_id, {CONTENT} FROM added AS entry ORDER BY entry.id;
    RETURN NULL;
END $$;
CREATE TRIGGER seal_new_changes AFTER INSERT ON auditlog_logentry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION seal_new_changes();

-- Chains at most so many committed seals, and returns how many. The lock makes a second caller wait, so that the chain
-- never forks.
CREATE FUNCTION seal_change_log(most bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    waiting record;
    place bigint;
    link bytea;
    chained bigint := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7301121);
    SELECT number, hash INTO place, link FROM config_changeseal WHERE number IS NOT NULL ORDER BY number DESC LIMIT 1;
    place := COALESCE(place, 0);
    link := COALESCE(link, '');
    FOR waiting IN
        SELECT entry_id, content FROM config_changeseal WHERE number IS NULL ORDER BY entry_id LIMIT most
    LOOP
        place := place + 1;
        link := sha256(link || int8send(place) || waiting.content);
        UPDATE config_changeseal SET number = place, hash = link WHERE entry_id = waiting.entry_id;
        chained := chained + 1;
    END LOOP;
    RETURN chained;
END $$;
"""  # noqa: S608  no value is inserted
FORGET = """
DROP FUNCTION seal_change_log(bigint);
DROP TRIGGER seal_new_changes ON auditlog_logentry;
DROP FUNCTION seal_new_changes();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("auditlog", "0017_add_actor_email"),
        ("config", "0012_add_change_seals"),
    ]

    operations = [migrations.RunSQL(SEAL, FORGET)]
