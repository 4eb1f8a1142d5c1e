import django.contrib.postgres.fields
import django.core.validators
from django.conf import settings
from django.db import migrations, models

import config.db


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0007_reword_texts"),
        ("customers", "0006_reword_texts"),
        ("events", "0012_keep_rows_from_truncate"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="toldcause",
            options={"verbose_name": "notified cause"},
        ),
        migrations.AlterField(
            model_name="apikey",
            name="bulk_per_minute",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Leave blank to use the company's limit. 0 means no limit.",
                null=True,
                verbose_name="bulk requests per minute",
            ),
        ),
        migrations.AlterField(
            model_name="apikey",
            name="single_per_minute",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Leave blank to use the company's limit. 0 means no limit.",
                null=True,
                verbose_name="single requests per minute",
            ),
        ),
        migrations.AlterField(
            model_name="duplicateevent",
            name="body",
            field=models.JSONField(
                help_text="The duplicate's content, if it differs from the ledger's event.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="duplicateevent",
            name="body_hash",
            field=models.CharField(
                blank=True, help_text="Tells different contents apart; empty for the same content.", max_length=32
            ),
        ),
        migrations.AlterField(
            model_name="duplicateevent",
            name="kind",
            field=models.CharField(choices=[("same", "Same content"), ("conflict", "Different content")], max_length=8),
        ),
        migrations.AlterField(
            model_name="event",
            name="id",
            field=models.BigIntegerField(
                help_text="The position in the order of arrival.", primary_key=True, serialize=False
            ),
        ),
        migrations.AlterField(
            model_name="inboxrequest",
            name="ids",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                help_text="Positions in the order of arrival; the events keep them.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="ledgerhorizon",
            name="events",
            field=models.PositiveBigIntegerField(default=0, help_text="The number of events removed."),
        ),
        migrations.AlterField(
            model_name="mendingrun",
            name="closed",
            field=models.PositiveBigIntegerField(default=0, help_text="The number of problems closed."),
        ),
        migrations.AlterField(
            model_name="mendingrun",
            name="events",
            field=models.PositiveBigIntegerField(
                help_text="The number of events at the start; empty until they are counted.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="problem",
            name="detail",
            field=models.JSONField(default=dict, help_text="Details, for example the value that isn't a number."),
        ),
        migrations.AlterField(
            model_name="problem",
            name="judged_at",
            field=models.DateTimeField(help_text="When processing or a replay last found the problem."),
        ),
        migrations.AlterField(
            model_name="problem",
            name="judged_by",
            field=models.JSONField(default=dict, help_text="The configuration when the event was processed."),
        ),
        migrations.AlterField(
            model_name="problem",
            name="reason",
            field=models.CharField(
                choices=[
                    ("unknown_event_name", "Unknown event name"),
                    ("feature_archived", "Feature is archived"),
                    ("filter_mismatch", "No feature's filter matches"),
                    ("before_feature_start", "Before the feature's start"),
                    ("aggregation_field_missing", "Aggregation field missing"),
                    ("not_a_number", "Not a number"),
                    ("unusable_value", "Not a string or number"),
                    ("value_out_of_range", "Value out of range"),
                    ("unknown_customer", "Unknown customer"),
                    ("customer_archived", "Customer is archived"),
                    ("no_subscription_at_time", "No subscription at that time"),
                    ("subscription_ended", "Subscription had ended"),
                    ("subscription_paused", "Subscription was paused"),
                    ("subscription_in_trial", "Subscription was in trial"),
                    ("feature_not_in_plan", "Feature not in plan"),
                    ("within_free_tier", "Within the free tier"),
                    ("outside_billing_period", "In another billing period"),
                    ("period_already_invoiced", "Period already invoiced"),
                    ("duplicate_same_body", "Duplicate, same content"),
                    ("duplicate_conflict", "Duplicate, different content"),
                    ("voided", "Voided"),
                    ("bad_request", "Bad request (400)"),
                    ("unauthorized", "Unauthorized (401)"),
                    ("forbidden", "Forbidden (403)"),
                    ("too_large", "Too large (413)"),
                    ("rate_limited", "Too many requests (429)"),
                ],
                max_length=32,
            ),
        ),
        migrations.AlterField(
            model_name="processedbatch",
            name="conflicts",
            field=models.PositiveIntegerField(help_text="The duplicates with different content."),
        ),
        migrations.AlterField(
            model_name="processedbatch",
            name="problems",
            field=models.PositiveIntegerField(help_text="Events that don't count at all."),
        ),
        migrations.AlterField(
            model_name="refusedrequest",
            name="reason",
            field=models.CharField(
                choices=[
                    ("unknown_event_name", "Unknown event name"),
                    ("feature_archived", "Feature is archived"),
                    ("filter_mismatch", "No feature's filter matches"),
                    ("before_feature_start", "Before the feature's start"),
                    ("aggregation_field_missing", "Aggregation field missing"),
                    ("not_a_number", "Not a number"),
                    ("unusable_value", "Not a string or number"),
                    ("value_out_of_range", "Value out of range"),
                    ("unknown_customer", "Unknown customer"),
                    ("customer_archived", "Customer is archived"),
                    ("no_subscription_at_time", "No subscription at that time"),
                    ("subscription_ended", "Subscription had ended"),
                    ("subscription_paused", "Subscription was paused"),
                    ("subscription_in_trial", "Subscription was in trial"),
                    ("feature_not_in_plan", "Feature not in plan"),
                    ("within_free_tier", "Within the free tier"),
                    ("outside_billing_period", "In another billing period"),
                    ("period_already_invoiced", "Period already invoiced"),
                    ("duplicate_same_body", "Duplicate, same content"),
                    ("duplicate_conflict", "Duplicate, different content"),
                    ("voided", "Voided"),
                    ("bad_request", "Bad request (400)"),
                    ("unauthorized", "Unauthorized (401)"),
                    ("forbidden", "Forbidden (403)"),
                    ("too_large", "Too large (413)"),
                    ("rate_limited", "Too many requests (429)"),
                ],
                max_length=32,
            ),
        ),
        migrations.AlterField(
            model_name="toldcause",
            name="reason",
            field=models.CharField(
                choices=[
                    ("unknown_event_name", "Unknown event name"),
                    ("feature_archived", "Feature is archived"),
                    ("filter_mismatch", "No feature's filter matches"),
                    ("before_feature_start", "Before the feature's start"),
                    ("aggregation_field_missing", "Aggregation field missing"),
                    ("not_a_number", "Not a number"),
                    ("unusable_value", "Not a string or number"),
                    ("value_out_of_range", "Value out of range"),
                    ("unknown_customer", "Unknown customer"),
                    ("customer_archived", "Customer is archived"),
                    ("no_subscription_at_time", "No subscription at that time"),
                    ("subscription_ended", "Subscription had ended"),
                    ("subscription_paused", "Subscription was paused"),
                    ("subscription_in_trial", "Subscription was in trial"),
                    ("feature_not_in_plan", "Feature not in plan"),
                    ("within_free_tier", "Within the free tier"),
                    ("outside_billing_period", "In another billing period"),
                    ("period_already_invoiced", "Period already invoiced"),
                    ("duplicate_same_body", "Duplicate, same content"),
                    ("duplicate_conflict", "Duplicate, different content"),
                    ("voided", "Voided"),
                    ("bad_request", "Bad request (400)"),
                    ("unauthorized", "Unauthorized (401)"),
                    ("forbidden", "Forbidden (403)"),
                    ("too_large", "Too large (413)"),
                    ("rate_limited", "Too many requests (429)"),
                ],
                max_length=32,
            ),
        ),
        migrations.AlterField(
            model_name="uniquevalue",
            name="value",
            field=models.TextField(help_text="As text: numbers without trailing zeros, long texts as their SHA-256."),
        ),
        migrations.AlterField(
            model_name="usagealert",
            name="threshold",
            field=config.db.NumericField(
                decimal_places=150,
                help_text="Sent when usage in the current billing period, including free units, reaches this quantity.",
                max_digits=400,
                validators=[django.core.validators.MinValueValidator(0)],
            ),
        ),
        migrations.AlterField(
            model_name="usagebucket",
            name="checksum",
            field=models.BigIntegerField(help_text="XOR of the event ids' hashes: shows which events were counted."),
        ),
        migrations.AlterField(
            model_name="usagebucket",
            name="latest_id",
            field=models.BigIntegerField(
                help_text="The event with the latest value; of events at the same time, the later arrival.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="usagebucket",
            name="total",
            field=config.db.NumericField(
                decimal_places=150,
                help_text="Sum of the values, multiplied by the feature's multiplier.",
                max_digits=400,
            ),
        ),
        migrations.AlterField(
            model_name="usagebucket",
            name="weighted",
            field=config.db.NumericField(
                decimal_places=150, help_text="Sum of value × seconds since 1970, for weighted sums.", max_digits=400
            ),
        ),
        migrations.AlterField(
            model_name="usagecheck",
            name="buckets",
            field=models.PositiveBigIntegerField(default=0, help_text="The number of hours compared."),
        ),
        migrations.AlterField(
            model_name="usagecheck",
            name="differences",
            field=models.JSONField(default=list, help_text="The first hundred differences."),
        ),
        migrations.AlterField(
            model_name="usagecheck",
            name="scope",
            field=models.JSONField(default=dict, help_text="Feature, customer and time range; empty means all."),
        ),
        migrations.AlterConstraint(
            model_name="usagealert",
            name="usage_alert_once",
            constraint=models.UniqueConstraint(
                fields=("subscription", "feature", "threshold"),
                name="usage_alert_once",
                violation_error_code="unique",
                violation_error_message="This subscription already has an alert for this feature and quantity.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="usagealert",
            name="usage_alert_above_zero",
            constraint=models.CheckConstraint(
                condition=models.Q(("threshold__gt", 0)),
                name="usage_alert_above_zero",
                violation_error_message="Enter a positive quantity.",
            ),
        ),
    ]
