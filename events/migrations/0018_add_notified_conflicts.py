import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0017_add_conflict_dismissals")]

    operations = [
        migrations.CreateModel(
            name="NotifiedConflict",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "difference",
                    models.TextField(
                        choices=[
                            ("external_customer_id", "Another customer"),
                            ("source", "Another source"),
                            ("event_name", "Another event name"),
                            ("timestamp", "Another timestamp"),
                            ("properties", "Other properties"),
                        ]
                    ),
                ),
                ("notified_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.AddField(
            model_name="notifiedconflict",
            name="api_key",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="events.apikey",
            ),
        ),
        migrations.AddConstraint(
            model_name="notifiedconflict",
            constraint=models.UniqueConstraint(
                fields=("api_key", "difference"), name="conflict_notified_once", nulls_distinct=False
            ),
        ),
    ]
