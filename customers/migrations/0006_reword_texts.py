import django.contrib.postgres.fields
from django.conf import settings
from django.db import migrations, models

import config.db
import customers.validators


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0005_keep_rows_from_truncate"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="customer",
            name="address_country",
            field=models.CharField(
                blank=True, help_text="The ISO 3166 code, two capital letters, for example DE.", max_length=2
            ),
        ),
        migrations.AlterField(
            model_name="customer",
            name="currency",
            field=config.db.CurrencyField(
                blank=True, help_text="For new subscriptions. Leave blank to use the company's currency.", max_length=3
            ),
        ),
        migrations.AlterField(
            model_name="customer",
            name="external_id",
            field=models.CharField(
                help_text="The external_customer_id that your events carry. Case-sensitive. It can't be changed later.",
                max_length=255,
                unique=True,
                verbose_name="external customer id",
            ),
        ),
        migrations.AlterField(
            model_name="customer",
            name="net_days",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Days to pay an invoice. Leave blank to use the company's payment terms.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="customer",
            name="timezone",
            field=models.CharField(
                default="UTC",
                help_text="Decides when billing days start and end.",
                max_length=64,
                validators=[customers.validators.validate_timezone],
                verbose_name="time zone",
            ),
        ),
        migrations.AlterField(
            model_name="customeralias",
            name="to_recount",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                default=list,
                editable=False,
                help_text="Former customers of this alias. Events counted for them are still to be moved.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="subscription",
            name="alignment",
            field=models.CharField(
                choices=[
                    ("anniversary", "Anniversary: periods are counted from the anchor"),
                    ("calendar", "Calendar: periods start on the first of the month, quarter or year, or on Mondays"),
                ],
                default="anniversary",
                max_length=16,
                verbose_name="billing cycle",
            ),
        ),
        migrations.AlterField(
            model_name="subscription",
            name="cancelled_at",
            field=models.DateTimeField(
                blank=True, editable=False, help_text="When the cancellation was requested.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="subscription",
            name="ended_at",
            field=models.DateTimeField(blank=True, help_text="Not served or billed from this time on.", null=True),
        ),
        migrations.AlterField(
            model_name="subscription",
            name="prorate",
            field=models.BooleanField(default=True, help_text="Prorate fees by the day in short billing periods."),
        ),
        migrations.AlterConstraint(
            model_name="customer",
            name="customer_external_id_trimmed",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("external_id", ""), _negated=True),
                    models.Q(("external_id__regex", "^\\s|\\s$"), _negated=True),
                ),
                name="customer_external_id_trimmed",
                violation_error_message="Enter an external customer id that doesn't start or end with a space.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="subscription",
            name="subscription_ends_after_start",
            constraint=models.CheckConstraint(
                condition=models.Q(("ended_at", None), ("ended_at__gte", models.F("started_at")), _connector="OR"),
                name="subscription_ends_after_start",
                violation_error_message="The subscription must not end before it starts.",
            ),
        ),
    ]
