"""What the change log says is never changed or deleted, not by SQL either."""

from django.db import migrations

# Django takes the author's key out as it deletes a user. The e-mail address stays, and a user who is there isn't taken out.
KEEP = """
CREATE FUNCTION keep_change_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.actor_id IS NULL
        AND to_jsonb(NEW) - 'actor_id' IS NOT DISTINCT FROM to_jsonb(OLD) - 'actor_id'
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the change log is only ever added to' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER keep_change_log BEFORE UPDATE OR DELETE ON auditlog_logentry
    FOR EACH ROW EXECUTE FUNCTION keep_change_log();

CREATE FUNCTION keep_author_of_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM auth_user WHERE id = OLD.actor_id) THEN
        RAISE EXCEPTION 'the change log is only ever added to: its author is still there'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER keep_author_of_change AFTER UPDATE ON auditlog_logentry DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.actor_id IS NOT NULL AND NEW.actor_id IS NULL) EXECUTE FUNCTION keep_author_of_change();
"""
FORGET = """
DROP TRIGGER keep_author_of_change ON auditlog_logentry;
DROP TRIGGER keep_change_log ON auditlog_logentry;
DROP FUNCTION keep_author_of_change();
DROP FUNCTION keep_change_log();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("auditlog", "0017_add_actor_email"),
        ("catalog", "0003_let_nothing_move_into_a_published_version"),
    ]

    operations = [migrations.RunSQL(KEEP, FORGET)]
