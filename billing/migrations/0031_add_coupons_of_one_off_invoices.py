"""Add coupons and taxes of one-off invoices, and coupons that keep what an invoice doesn't use."""

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import django.db.models.functions.comparison
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import customers.models.subscriptions


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0030_keep_surplus_of_payments"),
        ("catalog", "0007_reword_texts"),
        ("customers", "0006_reword_texts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="coupon",
            name="keep_coupon",
        ),
        migrations.RemoveConstraint(
            model_name="couponapplication",
            name="coupon_applied_once_at_a_time",
        ),
        migrations.AddField(
            model_name="coupon",
            name="keeps_rest",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="For an amount off one invoice: what an invoice doesn't use is taken off the next ones.",
                verbose_name="keep the rest",
            ),
        ),
        migrations.AddField(
            model_name="couponapplication",
            name="invoice",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                help_text="The one-off invoice that it reduces; empty for invoices of subscriptions.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="own_coupons",
                to="billing.invoice",
            ),
        ),
        migrations.AddField(
            model_name="invoice",
            name="tax_rates",
            field=models.ManyToManyField(
                blank=True,
                editable=False,
                help_text="Charged on this one-off invoice instead of the customer's taxes.",
                related_name="+",
                to="billing.taxrate",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="coupon",
            trigger=pgtrigger.compiler.Trigger(
                name="keep_coupon",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."code" IS DISTINCT FROM (NEW."code") OR OLD."percent_off" IS DISTINCT FROM (NEW."percent_off") OR OLD."amount_off" IS DISTINCT FROM (NEW."amount_off") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."keeps_rest" IS DISTINCT FROM (NEW."keeps_rest") OR OLD."duration" IS DISTINCT FROM (NEW."duration") OR OLD."periods" IS DISTINCT FROM (NEW."periods") OR OLD."scope" IS DISTINCT FROM (NEW."scope"))',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="52b6aa25d0442e7b08afd86d6f873dac2b184be5",
                    operation="UPDATE",
                    pgid="pgtrigger_keep_coupon_44c2e",
                    table="billing_coupon",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="coupon",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("keeps_rest", False),
                    models.Q(("amount_off__isnull", False), ("duration", "once")),
                    _connector="OR",
                ),
                name="coupon_keeps_rest_of_an_amount",
                violation_error_message="Only an amount off one invoice can keep the rest for the next ones.",
            ),
        ),
        migrations.AddConstraint(
            model_name="couponapplication",
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(
                condition=models.Q(("invoice", None)),
                expressions=[
                    ("coupon", "="),
                    ("customer", "="),
                    (
                        django.db.models.functions.comparison.Coalesce(
                            "subscription_id", 0, output_field=models.BigIntegerField()
                        ),
                        "=",
                    ),
                    (
                        customers.models.subscriptions.TimestampRange(
                            "starts_at", "ended_at", django.contrib.postgres.fields.ranges.RangeBoundary()
                        ),
                        "&&",
                    ),
                ],
                name="coupon_applied_once_at_a_time",
                violation_error_message="This discount is applied there already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="couponapplication",
            constraint=models.UniqueConstraint(
                condition=models.Q(("invoice__isnull", False)),
                fields=("coupon", "invoice"),
                name="coupon_applied_once_to_invoice",
            ),
        ),
        migrations.AddConstraint(
            model_name="couponapplication",
            constraint=models.CheckConstraint(
                condition=models.Q(("invoice", None), ("subscription", None), _connector="OR"),
                name="coupon_of_invoice_or_subscription",
            ),
        ),
    ]
