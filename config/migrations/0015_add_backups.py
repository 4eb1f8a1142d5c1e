from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("config", "0014_add_alarms")]

    operations = [
        migrations.CreateModel(
            name="Backup",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(
                        blank=True, help_text="The folder in BACKUP_DIR; blank if it failed.", max_length=32
                    ),
                ),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField()),
                ("size", models.PositiveBigIntegerField(default=0, help_text="Of the dump, in bytes.")),
                ("tables", models.PositiveIntegerField(default=0)),
                ("rows", models.PositiveBigIntegerField(default=0)),
                (
                    "verified_at",
                    models.DateTimeField(
                        help_text="When it was restored into a scratch database and every table compared.", null=True
                    ),
                ),
                (
                    "problem",
                    models.TextField(blank=True, help_text="Why it failed, or what differed in the restored copy."),
                ),
            ],
            options={"ordering": ["-pk"], "get_latest_by": "pk"},
        ),
    ]
