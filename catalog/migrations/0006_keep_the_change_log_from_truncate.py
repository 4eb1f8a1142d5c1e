"""The change log isn't emptied either, but by a session that says `SET countinghouse.allow_truncate = 'on'`."""

from django.db import migrations

KEEP = """
CREATE FUNCTION keep_change_log_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('countinghouse.allow_truncate', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION '% is never emptied', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER keep_change_log_rows BEFORE TRUNCATE ON auditlog_logentry
    FOR EACH STATEMENT EXECUTE FUNCTION keep_change_log_rows();
"""
FORGET = """
DROP TRIGGER keep_change_log_rows ON auditlog_logentry;
DROP FUNCTION keep_change_log_rows();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("auditlog", "0017_add_actor_email"),
        ("catalog", "0005_keep_rows_from_truncate"),
    ]

    operations = [migrations.RunSQL(KEEP, FORGET)]
