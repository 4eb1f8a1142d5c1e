import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0028_free_events_of_foreign_keys"),
    ]

    operations = [
        migrations.AddField(
            model_name="knownid",
            name="part",
            field=models.IntegerField(
                help_text="The part that the event is in. Without one, retention removed it.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="duplicateevent",
            name="kind",
            field=models.CharField(
                choices=[("same", "Same content"), ("conflict", "Different content"), ("unread", "Not compared yet")],
                max_length=8,
            ),
        ),
        migrations.CreateModel(
            name="SealedPart",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                (
                    "name",
                    models.CharField(help_text="The name in the store, never used again.", max_length=100, unique=True),
                ),
                (
                    "state",
                    models.PositiveSmallIntegerField(
                        choices=[(1, "Planned"), (2, "Published"), (3, "Sealed"), (4, "Removed")],
                        default=1,
                        verbose_name="status",
                    ),
                ),
                (
                    "is_late",
                    models.BooleanField(
                        help_text="Whether its events arrived more than three days after they occurred. They have parts of their own."
                    ),
                ),
                ("first_event", models.BigIntegerField(help_text="The first position in the order of arrival.")),
                ("last_event", models.BigIntegerField(help_text="The position after the last one.")),
                ("occurred_from", models.DateTimeField(help_text="When its first event occurred.", null=True)),
                ("occurred_until", models.DateTimeField(help_text="When its last event occurred.", null=True)),
                ("rows", models.BigIntegerField(help_text="The number of events.", null=True)),
                ("checksum", models.BigIntegerField(help_text="XOR of a hash of each event.", null=True)),
                ("digest", models.CharField(blank=True, help_text="SHA-256 of the stored object.", max_length=64)),
                ("bytes", models.BigIntegerField(help_text="The size of the stored object.", null=True)),
                (
                    "returned",
                    models.BigIntegerField(default=0, help_text="How many of its events are in the ledger again."),
                ),
                ("planned_at", models.DateTimeField()),
                (
                    "published_at",
                    models.DateTimeField(help_text="When it had been read back, and was what was written.", null=True),
                ),
                (
                    "waits_for",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(),
                        editable=False,
                        help_text="The transactions that ran after it was published: its events stay until these have ended.",
                        null=True,
                        size=None,
                    ),
                ),
                (
                    "sealed_at",
                    models.DateTimeField(help_text="When the last of its events left the ledger.", null=True),
                ),
                (
                    "removed_at",
                    models.DateTimeField(
                        help_text="When retention or another part took its place. Its object is deleted some weeks later.",
                        null=True,
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", [2, 3])),
                        fields=["occurred_until", "occurred_from"],
                        name="part_times",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("first_event__lt", models.F("last_event"))), name="part_has_range"
                    )
                ],
            },
        ),
    ]
