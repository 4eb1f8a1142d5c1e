"""Hold month ends to months, and their chunks to customers and to what was found."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0024_check_what_voids_return"),
    ]

    operations = [
        migrations.AddConstraint(
            model_name="monthendchunk",
            constraint=models.CheckConstraint(
                condition=models.Q(("customers__gt", 0), ("first_id__lte", models.F("last_id"))),
                name="month_end_chunk_holds_customers",
            ),
        ),
        migrations.AddConstraint(
            model_name="monthendchunk",
            constraint=models.CheckConstraint(
                condition=models.Q(("finished_at", None), models.Q(("found", {}), _negated=True), _connector="OR"),
                name="finished_month_end_chunk_has_found",
            ),
        ),
        migrations.AddConstraint(
            model_name="monthendreport",
            constraint=models.CheckConstraint(
                condition=models.Q(("month__day", 1)), name="month_end_named_by_first_day"
            ),
        ),
    ]
