"""Destroy keys of personal data by a function of the owner, because the application can't delete them any more."""

from django.db import migrations

DESTROY = """
CREATE FUNCTION destroy_personal_key(subject bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM config_personaldataerasure WHERE customer_id = subject) THEN
        RAISE EXCEPTION 'the personal data of customer % isn''t being erased', subject
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    DELETE FROM config_personalkey WHERE customer_id = subject;
    RETURN FOUND;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("config", "0018_add_monitoring")]

    operations = [migrations.RunSQL(DESTROY, "DROP FUNCTION destroy_personal_key(bigint)")]
