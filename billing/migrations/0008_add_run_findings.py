import django.db.models.deletion
from django.db import migrations, models

import config.db


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0007_add_company_profile"),
        ("customers", "0004_add_reverse_charge"),
    ]

    operations = [
        migrations.CreateModel(
            name="RunFinding",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("problem", models.TextField(blank=True)),
                (
                    "kind",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("opening", "Subscription start"),
                            ("cycle", "Billing period"),
                            ("change", "Subscription change"),
                            ("final", "Subscription end"),
                            ("one_off", "One-off"),
                        ],
                        max_length=8,
                    ),
                ),
                ("period_start", models.DateTimeField(null=True)),
                ("period_end", models.DateTimeField(null=True)),
                ("currency", config.db.CurrencyField(max_length=3)),
                ("lines", models.PositiveIntegerField(default=0)),
                ("total", config.db.AmountField(decimal_places=4, max_digits=24, null=True)),
                (
                    "change",
                    config.db.AmountField(
                        decimal_places=4,
                        help_text="Against the invoice of the period before; empty for the first.",
                        max_digits=24,
                        null=True,
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="findings",
                        to="billing.billingrun",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.subscription",
                    ),
                ),
            ],
            options={
                "ordering": ["run", "pk"],
                "indexes": [
                    models.Index(fields=["run", "id"], name="run_finding_in_order"),
                    models.Index(
                        condition=models.Q(("problem", ""), _negated=True),
                        fields=["run", "id"],
                        name="run_finding_problems",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("period_end__isnull", False),
                                ("period_start__isnull", False),
                                ("problem", ""),
                                ("total__isnull", False),
                                models.Q(("kind", ""), _negated=True),
                            ),
                            models.Q(models.Q(("problem", ""), _negated=True), ("kind", ""), ("total", None)),
                            _connector="OR",
                        ),
                        name="run_finding_is_invoice_or_problem",
                    )
                ],
            },
        ),
    ]
