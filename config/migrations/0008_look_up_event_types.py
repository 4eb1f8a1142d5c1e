"""Refer to the event types instead of listing them: a new one needs no migration."""

import django.contrib.postgres.fields
from django.db import migrations, models

import config.webhooks.names


class Migration(migrations.Migration):
    dependencies = [("config", "0007_reword_texts")]

    operations = [
        migrations.AlterField(
            model_name="webhookendpoint",
            name="event_types",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(choices=config.webhooks.names.chosen_event_types, max_length=40),
                blank=True,
                default=list,
                help_text="Leave blank to receive all events.",
                size=None,
                verbose_name="events",
            ),
        ),
        migrations.AlterField(
            model_name="webhookmessage",
            name="event_type",
            field=models.CharField(choices=config.webhooks.names.event_types, max_length=40),
        ),
    ]
