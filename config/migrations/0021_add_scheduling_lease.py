from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0020_add_agreed_terms_to_approvals"),
    ]

    operations = [
        migrations.CreateModel(
            name="SchedulingLease",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                (
                    "holder",
                    models.UUIDField(help_text="A process, also if another one has the same host and process ID."),
                ),
                ("host", models.CharField(max_length=255)),
                ("pid", models.PositiveIntegerField()),
                ("since", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "scheduling lease",
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="one_scheduling_lease")],
            },
        ),
    ]
