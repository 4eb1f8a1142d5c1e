"""Refer to the scopes of API keys instead of listing them: a new one needs no migration."""

import django.contrib.postgres.fields
from django.db import migrations, models

import events.models.keys


class Migration(migrations.Migration):
    dependencies = [("events", "0015_index_lists_of_a_customer")]

    operations = [
        migrations.AlterField(
            model_name="apikey",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(choices=events.models.keys.scope_choices, max_length=32),
                default=events.models.keys.all_scopes,
                size=None,
            ),
        )
    ]
