"""Hold what a void invoice gave back to what waits for approval."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0023_return_only_what_waits"),
    ]

    operations = [
        migrations.AddConstraint(
            model_name="lateadjustment",
            constraint=models.CheckConstraint(
                condition=models.Q(("returned_by", None), ("state", "held"), _connector="OR"),
                name="late_adjustment_returned_waits_for_approval",
            ),
        ),
    ]
