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
                base_field=models.CharField(
                    choices=[
                        ("all", "Everything"),
                        ("events:write", "Send events"),
                        ("read", "Read everything"),
                        ("catalog:write", "Change features and plans"),
                        ("customers:write", "Change customers and subscriptions"),
                        ("billing:write", "Change invoices and credits"),
                        ("keys:write", "Manage API keys"),
                    ],
                    max_length=32,
                ),
                default=events.models.keys.all_scopes,
                size=None,
            ),
        )
    ]
