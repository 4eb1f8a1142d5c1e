"""Let an end have several settlements: final invoices without a period of their own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0019_keep_rows_from_truncate"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="invoice",
            name="invoice_once_per_period",
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    models.Q(("state", "void"), _negated=True),
                    models.Q(("kind", "final"), ("period_start", models.F("period_end")), _negated=True),
                ),
                fields=("subscription", "period_start", "kind"),
                name="invoice_once_per_period",
            ),
        ),
    ]
