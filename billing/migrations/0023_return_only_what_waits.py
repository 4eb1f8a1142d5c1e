"""Forget which void invoice gave late usage back once that doesn't wait for approval any more."""

from django.db import migrations


def forget(apps, schema_editor):
    decided = apps.get_model("billing", "LateAdjustment").objects.exclude(state="held")
    decided.filter(returned_by__isnull=False).update(returned_by=None)


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0022_add_month_end_reports"),
    ]

    operations = [
        migrations.RunPython(forget, migrations.RunPython.noop),
    ]
