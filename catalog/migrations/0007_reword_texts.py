import django.db.models.functions.datetime
from django.db import migrations, models

import catalog.models.features
import catalog.validators
import config.db


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0006_keep_the_change_log_from_truncate"),
    ]

    operations = [
        migrations.AlterField(
            model_name="entitlement",
            name="free_units",
            field=config.db.NumericField(
                blank=True,
                decimal_places=150,
                help_text="Units free of charge. Leave blank for unlimited.",
                max_digits=400,
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="entitlement",
            name="is_prorated",
            field=models.BooleanField(default=False, help_text="Prorate the free units in a short billing period."),
        ),
        migrations.AlterField(
            model_name="entitlement",
            name="is_soft_limit",
            field=models.BooleanField(
                default=True, help_text="For access control in your own product: customers can exceed the free units."
            ),
        ),
        migrations.AlterField(
            model_name="entitlement",
            name="reset",
            field=models.CharField(
                choices=[
                    ("period", "Each billing period"),
                    ("daily", "Each day"),
                    ("weekly", "Each week"),
                    ("monthly", "Each month from the billing anchor"),
                    ("never", "Never: one allowance for the whole subscription"),
                ],
                default="period",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="feature",
            name="accept_numeric_strings",
            field=models.BooleanField(
                default=catalog.models.features.accept_numeric_strings_default,
                help_text='Count "2" as the number 2. If off, an event with such a value becomes a problem.',
            ),
        ),
        migrations.AlterField(
            model_name="feature",
            name="counts_from",
            field=models.DateTimeField(
                blank=True,
                help_text="Count events that occurred at or after this time. Leave blank to count all events.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="feature",
            name="event_name",
            field=models.CharField(
                blank=True,
                help_text="Exactly as your systems send it. Case-sensitive: model.usage and Model.Usage are different events.",
                max_length=255,
            ),
        ),
        migrations.AlterField(
            model_name="feature",
            name="field",
            field=models.CharField(
                blank=True,
                help_text="The event property to aggregate, for example credits. Use dots for nested properties.",
                max_length=255,
                verbose_name="aggregation field",
            ),
        ),
        migrations.AlterField(
            model_name="feature",
            name="filters",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text='Count only events whose properties match, for example {"model": ["gpt-4", "gpt-4o"]}. All properties must match. Of each property, any of the values matches.',
                validators=[catalog.validators.validate_filters],
            ),
        ),
        migrations.AlterField(
            model_name="feature",
            name="first_counted_at",
            field=models.DateTimeField(
                editable=False,
                help_text="When the first event was counted. The meter can't be changed after that.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="feature",
            name="meter_changed_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(),
                editable=False,
                help_text="When the meter last changed. Set by the database.",
            ),
        ),
        migrations.AlterField(
            model_name="feature",
            name="multiplier",
            field=config.db.NumericField(
                blank=True,
                decimal_places=150,
                help_text="Only for Sum with multiplier: every value is multiplied by this number.",
                max_digits=400,
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="feature",
            name="recounted_at",
            field=models.DateTimeField(
                editable=False, help_text="The meter change for which earlier events were last recounted.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="feature",
            name="reset",
            field=models.CharField(
                choices=[
                    ("periodic", "Periodic: starts at 0 each billing period"),
                    ("cumulative", "Cumulative: the running total is billed every period"),
                ],
                default="periodic",
                max_length=16,
                verbose_name="usage reset",
            ),
        ),
        migrations.AlterField(
            model_name="feature",
            name="rounding",
            field=models.CharField(
                choices=[
                    ("none", "None"),
                    ("round", "Nearest, halves away from zero"),
                    ("ceil", "Up"),
                    ("floor", "Down"),
                ],
                default="none",
                max_length=8,
                verbose_name="quantity rounding",
            ),
        ),
        migrations.AlterField(
            model_name="feature",
            name="rounding_places",
            field=models.SmallIntegerField(
                default=0, help_text="Decimal places. A negative number rounds to tens, hundreds, and so on."
            ),
        ),
        migrations.AlterField(
            model_name="feature",
            name="unit_plural",
            field=models.CharField(
                blank=True, help_text="The name of several units, for example tokens.", max_length=64
            ),
        ),
        migrations.AlterField(
            model_name="feature",
            name="unit_singular",
            field=models.CharField(blank=True, help_text="The name of one unit, for example token.", max_length=64),
        ),
        migrations.AlterField(
            model_name="planversion",
            name="is_held",
            field=models.BooleanField(
                default=False,
                help_text="Publish this draft by hand only. Until then, new subscriptions use the published version. If off, the next new subscription publishes the draft.",
                verbose_name="on hold",
            ),
        ),
        migrations.AlterField(
            model_name="planversion",
            name="trial_days",
            field=models.PositiveIntegerField(default=0, help_text="Free days at the start of a subscription."),
        ),
        migrations.AlterField(
            model_name="price",
            name="charge_at_zero",
            field=models.BooleanField(
                default=True, help_text="Charge the first tier's flat amount even without usage."
            ),
        ),
        migrations.AlterField(
            model_name="price",
            name="convert_divide_by",
            field=config.db.NumericField(
                decimal_places=150,
                default=1,
                help_text="Usage is divided by this number before it is priced.",
                max_digits=400,
            ),
        ),
        migrations.AlterField(
            model_name="price",
            name="convert_multiply_by",
            field=config.db.NumericField(
                decimal_places=150,
                default=1,
                help_text="Usage is multiplied by this number before it is priced.",
                max_digits=400,
            ),
        ),
        migrations.AlterField(
            model_name="price",
            name="convert_rounding",
            field=models.CharField(
                choices=[
                    ("none", "None"),
                    ("round", "Nearest, halves away from zero"),
                    ("ceil", "Up"),
                    ("floor", "Down"),
                ],
                default="none",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="price",
            name="maximum_amount",
            field=config.db.AmountField(
                blank=True, decimal_places=4, help_text="The maximum charge per period.", max_digits=24, null=True
            ),
        ),
        migrations.AlterField(
            model_name="price",
            name="minimum_amount",
            field=config.db.AmountField(
                blank=True,
                decimal_places=4,
                help_text="Minimum commitment per period. The shortfall is charged as a true-up line.",
                max_digits=24,
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="price",
            name="name",
            field=models.CharField(
                blank=True,
                help_text="Shown on the invoice line. Leave blank to use the feature's name.",
                max_length=255,
            ),
        ),
        migrations.AlterField(
            model_name="price",
            name="package_rounding",
            field=models.CharField(
                choices=[
                    ("up", "Up: a partly used package is charged"),
                    ("down", "Down: only full packages are charged"),
                ],
                default="up",
                max_length=4,
            ),
        ),
        migrations.AlterField(
            model_name="price",
            name="quantity",
            field=config.db.NumericField(
                decimal_places=150,
                default=1,
                help_text="Only for recurring fees: how many are charged.",
                max_digits=400,
            ),
        ),
        migrations.AlterField(
            model_name="price",
            name="unit_amount",
            field=config.db.UnitPriceField(
                blank=True,
                decimal_places=12,
                help_text="The price of one unit or one package, or the amount of the fee. Tiers have their own amounts.",
                max_digits=30,
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="pricetier",
            name="rate_percent",
            field=config.db.UnitPriceField(
                decimal_places=12, default=0, help_text="Only for graduated percentages.", max_digits=30
            ),
        ),
        migrations.AlterField(
            model_name="pricetier",
            name="up_to",
            field=config.db.NumericField(
                blank=True,
                decimal_places=150,
                help_text="Up to and including this quantity. Leave blank for the last tier.",
                max_digits=400,
                null=True,
            ),
        ),
        migrations.AlterConstraint(
            model_name="feature",
            name="feature_field_unless_count",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "metered"), _negated=True),
                    models.Q(("aggregation", "count"), ("field", "")),
                    models.Q(models.Q(("aggregation", "count"), _negated=True), models.Q(("field", ""), _negated=True)),
                    _connector="OR",
                ),
                name="feature_field_unless_count",
                violation_error_message="Enter the aggregation field. Only Count has none.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="feature",
            name="feature_multiplier",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("aggregation", "sum_with_multiplier"), ("multiplier__gt", 0), ("multiplier__isnull", False)
                    ),
                    models.Q(models.Q(("aggregation", "sum_with_multiplier"), _negated=True), ("multiplier", None)),
                    _connector="OR",
                ),
                name="feature_multiplier",
                violation_error_message="Sum with multiplier needs a positive multiplier. Others have none.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="feature",
            name="feature_event_name_trimmed",
            constraint=models.CheckConstraint(
                condition=models.Q(("event_name__regex", "^\\s|\\s$"), _negated=True),
                name="feature_event_name_trimmed",
                violation_error_message="The event name must not start or end with a space.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="feature",
            name="feature_units_together",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("unit_plural", ""), ("unit_singular", "")),
                    models.Q(
                        models.Q(("unit_singular", ""), _negated=True), models.Q(("unit_plural", ""), _negated=True)
                    ),
                    _connector="OR",
                ),
                name="feature_units_together",
                violation_error_message="Enter the unit in the singular and the plural, or leave both blank.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="price",
            name="price_fixed_model",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind", "usage"), ("model__in", ["flat", "per_unit"]), _connector="OR"),
                name="price_fixed_model",
                violation_error_message="A recurring fee must be flat or per unit.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="price",
            name="price_unit_amount",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("model__in", ["graduated", "volume", "percentage", "graduated_percentage"]),
                        ("unit_amount", None),
                    ),
                    models.Q(
                        ("model__in", ["flat", "per_unit", "package"]),
                        ("unit_amount__gte", 0),
                        ("unit_amount__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="price_unit_amount",
                violation_error_message="Enter an amount of 0 or more. Tiered and percentage prices have none.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="price",
            name="price_package_size",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("model", "package"), ("package_size__gt", 0), ("package_size__isnull", False)),
                    models.Q(models.Q(("model", "package"), _negated=True), ("package_size", None)),
                    _connector="OR",
                ),
                name="price_package_size",
                violation_error_message="A package price needs a positive package size. Other prices have none.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="price",
            name="price_rate_percent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("model", "percentage"), ("rate_percent__gte", 0), ("rate_percent__isnull", False)),
                    models.Q(
                        models.Q(("model", "percentage"), _negated=True),
                        ("fixed_amount_per_event", None),
                        ("free_amount", None),
                        ("free_events", None),
                        ("per_event_maximum", None),
                        ("per_event_minimum", None),
                        ("rate_percent", None),
                    ),
                    _connector="OR",
                ),
                name="price_rate_percent",
                violation_error_message="A percentage price needs a rate. Other prices have no percentage fields.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="price",
            name="price_interval_count",
            constraint=models.CheckConstraint(
                condition=models.Q(("interval_count__gte", 1)),
                name="price_interval_count",
                violation_error_message="The interval count must be 1 or more.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="price",
            name="price_conversion_positive",
            constraint=models.CheckConstraint(
                condition=models.Q(("convert_divide_by__gt", 0), ("convert_multiply_by__gt", 0), ("quantity__gte", 0)),
                name="price_conversion_positive",
                violation_error_message="Conversion factors must be positive, and the quantity can't be negative.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="price",
            name="price_minimum_below_maximum",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("minimum_amount", None),
                    ("maximum_amount", None),
                    ("minimum_amount__lte", models.F("maximum_amount")),
                    _connector="OR",
                ),
                name="price_minimum_below_maximum",
                violation_error_message="The minimum must not exceed the maximum.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="pricetier",
            name="tier_positive",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("up_to", None), ("up_to__gt", 0), _connector="OR"),
                    ("flat_amount__gte", 0),
                    ("rate_percent__gte", 0),
                    ("unit_amount__gte", 0),
                ),
                name="tier_positive",
                violation_error_message="Tier limits must be positive, and amounts can't be negative.",
            ),
        ),
    ]
