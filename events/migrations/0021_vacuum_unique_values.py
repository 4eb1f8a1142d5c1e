"""Vacuum distinct values after a twentieth of them is new, so that counting them reads the index alone."""

from django.db import migrations

VACUUM = "ALTER TABLE events_uniquevalue SET (autovacuum_vacuum_insert_scale_factor = 0.05)"
USUAL = "ALTER TABLE events_uniquevalue RESET (autovacuum_vacuum_insert_scale_factor)"


class Migration(migrations.Migration):
    dependencies = [("events", "0020_add_family_and_responsible")]

    operations = [migrations.RunSQL(VACUUM, USUAL)]
