from django.db import migrations, models

STAGES = [
    ("accepted", "Events accepted"),
    ("counted", "Events counted"),
    ("invoiced", "Invoice calculated"),
    ("finalized", "Invoice finalized"),
    ("document", "PDF written"),
    ("webhook", "Webhook received"),
]


class Migration(migrations.Migration):
    dependencies = [("billing", "0036_call_it_canceled")]

    operations = [
        migrations.CreateModel(
            name="SelfTest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField()),
                (
                    "stages",
                    models.JSONField(default=dict, help_text="Milliseconds by stage, of the stages that passed."),
                ),
                ("failed_stage", models.CharField(blank=True, choices=STAGES, max_length=16)),
                (
                    "problem",
                    models.TextField(blank=True, help_text="What happened instead of what was expected."),
                ),
            ],
            options={
                "verbose_name": "self-test",
                "ordering": ["-pk"],
                "get_latest_by": "pk",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "failed_stage",
                                "",
                            ),
                            ("problem", ""),
                        )
                        | models.Q(
                            models.Q(("failed_stage", ""), _negated=True), models.Q(("problem", ""), _negated=True)
                        ),
                        name="self_test_failure_has_problem",
                    )
                ],
            },
        ),
    ]
