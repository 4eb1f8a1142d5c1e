"""Refer to the kinds and operations of approvals instead of listing them: a new one needs no migration."""

from django.db import migrations, models

import config.approvals.kinds


class Migration(migrations.Migration):
    dependencies = [("config", "0023_add_phases_to_approvals")]

    operations = [
        migrations.AlterField(
            model_name="approval",
            name="kind",
            field=models.CharField(choices=config.approvals.kinds.list_kinds, max_length=20, verbose_name="rule"),
        ),
        migrations.AlterField(
            model_name="approval",
            name="operation",
            field=models.CharField(
                choices=config.approvals.kinds.list_operations, max_length=30, verbose_name="action"
            ),
        ),
        migrations.AlterField(
            model_name="approvalrule",
            name="kind",
            field=models.CharField(
                choices=config.approvals.kinds.list_kinds,
                editable=False,
                max_length=20,
                unique=True,
                verbose_name="action",
            ),
        ),
    ]
