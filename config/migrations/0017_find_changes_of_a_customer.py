"""Find the entries of the change log about a customer. The index is built without blocking writes."""

from django.db import migrations

CREATE = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS change_of_customer ON auditlog_logentry ((additional_data -> 'customer'))
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("auditlog", "0017_add_actor_email"),
        ("config", "0016_add_personal_data"),
    ]

    operations = [migrations.RunSQL(CREATE, "DROP INDEX CONCURRENTLY IF EXISTS change_of_customer")]
