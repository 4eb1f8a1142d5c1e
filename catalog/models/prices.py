"""The prices of a plan version: recurring fees and usage prices."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from auditlog.registry import auditlog
from django.db import models
from django.db.models import Q

from catalog.kinds import PackageRounding
from catalog.models.features import Feature, Rounding
from catalog.models.plans import Plan, PlanVersion, keep_published
from config.db import AmountField, CurrencyField, NumericField, PublicIdField, Stamped, UnitPriceField, keep_rows


class IntervalUnit(models.TextChoices):
    DAY = "day", "Daily"
    WEEK = "week", "Weekly"
    MONTH = "month", "Monthly"
    QUARTER = "quarter", "Quarterly"
    HALF_YEAR = "half_year", "Half-yearly"
    YEAR = "year", "Annual"


DAYS = {IntervalUnit.DAY: 1, IntervalUnit.WEEK: 7}
MONTHS = {IntervalUnit.MONTH: 1, IntervalUnit.QUARTER: 3, IntervalUnit.HALF_YEAR: 6, IntervalUnit.YEAR: 12}


class Every(NamedTuple):
    """How often something is charged: every so many days, weeks, months and so on."""

    unit: IntervalUnit
    number: int = 1

    def in_longest_unit(self) -> Every:
        """Return the same interval in its longest unit: 12 months are a year, 18 months are three half-years.

        >>> Every(IntervalUnit.MONTH, 12).in_longest_unit()
        Every(unit=IntervalUnit.YEAR, number=1)
        """
        lengths = MONTHS if self.unit in MONTHS else DAYS
        length = lengths[self.unit] * self.number
        unit = next(unit for unit in reversed(lengths) if length % lengths[unit] == 0)
        return Every(unit, length // lengths[unit])

    def times_in(self, longer: Every) -> int | None:
        """Return how often this interval fits into a longer one, None if not a whole number of times.

        >>> Every(IntervalUnit.MONTH).times_in(Every(IntervalUnit.YEAR))
        12
        """
        lengths = MONTHS if self.unit in MONTHS else DAYS
        if longer.unit not in lengths:
            return None
        times, rest = divmod(lengths[longer.unit] * longer.number, lengths[self.unit] * self.number)
        return None if rest or not times else times


class PriceKind(models.TextChoices):
    FIXED = "fixed", "Recurring fee"
    USAGE = "usage", "Usage"


class PriceModel(models.TextChoices):
    FLAT = "flat", "Flat fee"
    PER_UNIT = "per_unit", "Per unit"
    PACKAGE = "package", "Package"
    GRADUATED = "graduated", "Graduated: each tier prices its own units"
    VOLUME = "volume", "Volume: one tier prices all units"
    PERCENTAGE = "percentage", "Percentage of each event's value"
    GRADUATED_PERCENTAGE = "graduated_percentage", "Graduated percentage of the value"


class Cadence(models.TextChoices):
    ARREARS = "arrears", "In arrears"
    ADVANCE = "advance", "In advance"


class Price(Stamped):
    """One price of a plan version, in one currency and for one billing interval."""

    public_id = PublicIdField("price")
    version = models.ForeignKey(PlanVersion, models.CASCADE, related_name="prices")
    kind = models.CharField(max_length=8, choices=PriceKind, default=PriceKind.USAGE)
    feature = models.ForeignKey(Feature, models.PROTECT, null=True, blank=True, related_name="prices")
    name = models.CharField(
        max_length=255, blank=True, help_text="Shown on the invoice line. Leave blank to use the feature's name."
    )
    description = models.TextField(
        blank=True, default="", db_default="", help_text="For staff and API clients. Not printed on invoices."
    )
    key = models.CharField("lookup key", max_length=255, null=True, blank=True, db_index=True)
    currency = CurrencyField()
    interval = models.CharField("billing interval", max_length=16, choices=IntervalUnit, default=IntervalUnit.MONTH)
    interval_count = models.PositiveIntegerField(default=1)
    periods = models.PositiveIntegerField(
        "billing periods covered",
        default=1,
        db_default=1,
        help_text="Only for recurring fees: 12 makes a fee annual in a monthly subscription. Periods are counted from "
        "the billing anchor.",
    )
    cadence = models.CharField("invoiced", max_length=8, choices=Cadence, default=Cadence.ARREARS)
    model = models.CharField("pricing model", max_length=24, choices=PriceModel, default=PriceModel.PER_UNIT)
    unit_amount = UnitPriceField(
        null=True,
        blank=True,
        help_text="The price of one unit or one package, or the amount of the fee. Tiers have their own amounts.",
    )
    quantity = NumericField(default=1, help_text="Only for recurring fees: how many are charged.")
    quantity_minimum = NumericField(
        null=True, blank=True, help_text="The smallest quantity that can be agreed with a customer, such as 5 seats."
    )
    quantity_maximum = NumericField(
        null=True, blank=True, help_text="The largest quantity that can be agreed with a customer."
    )
    package_size = NumericField(null=True, blank=True)
    package_rounding = models.CharField(max_length=4, choices=PackageRounding.choices, default=PackageRounding.UP)
    charge_at_zero = models.BooleanField(
        default=True, help_text="Charge the first tier's flat amount even without usage."
    )
    convert_multiply_by = NumericField(default=1, help_text="Usage is multiplied by this number before it is priced.")
    convert_divide_by = NumericField(default=1, help_text="Usage is divided by this number before it is priced.")
    convert_rounding = models.CharField(max_length=8, choices=Rounding, default=Rounding.NONE)
    rate_percent = UnitPriceField(null=True, blank=True)
    fixed_amount_per_event = UnitPriceField(null=True, blank=True)
    free_events = models.PositiveIntegerField(null=True, blank=True)
    free_amount = UnitPriceField(null=True, blank=True)
    per_event_minimum = UnitPriceField(null=True, blank=True)
    per_event_maximum = UnitPriceField(null=True, blank=True)
    minimum_amount = AmountField(
        null=True,
        blank=True,
        help_text="Minimum commitment per period. The shortfall is charged as a true-up line.",
    )
    minimum_quantity = NumericField(
        null=True,
        blank=True,
        help_text="Minimum commitment per period as a quantity, after free units. If less is used, the price of this "
        "quantity is charged.",
    )
    maximum_amount = AmountField(null=True, blank=True, help_text="The maximum charge per period.")
    metadata = models.JSONField(default=dict, blank=True)
    position = models.IntegerField(default=0, help_text="Order on the invoice.")
    listed = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="agreed_prices",
        help_text="The list price that this agreed price replaces.",
    )

    class Meta:
        ordering: ClassVar = ["version", "position", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="price_usage_has_feature",
                condition=Q(kind="usage", feature__isnull=False) | Q(kind="fixed", feature=None),
                violation_error_message="A usage price needs a feature; a recurring fee has none.",
            ),
            models.CheckConstraint(
                name="price_usage_in_arrears",
                condition=Q(kind="fixed") | Q(cadence="arrears"),
                violation_error_message="Usage can only be invoiced in arrears.",
            ),
            models.CheckConstraint(
                name="price_fixed_model",
                condition=Q(kind="usage") | Q(model__in=["flat", "per_unit"]),
                violation_error_message="A recurring fee must be flat or per unit.",
            ),
            models.CheckConstraint(
                name="price_unit_amount",
                condition=Q(model__in=["graduated", "volume", "percentage", "graduated_percentage"], unit_amount=None)
                | Q(model__in=["flat", "per_unit", "package"], unit_amount__isnull=False, unit_amount__gte=0),
                violation_error_message="Enter an amount of 0 or more. Tiered and percentage prices have none.",
            ),
            models.CheckConstraint(
                name="price_package_size",
                condition=Q(model="package", package_size__isnull=False, package_size__gt=0)
                | ~Q(model="package") & Q(package_size=None),
                violation_error_message="A package price needs a positive package size. Other prices have none.",
            ),
            models.CheckConstraint(
                name="price_rate_percent",
                condition=Q(model="percentage", rate_percent__isnull=False, rate_percent__gte=0)
                | ~Q(model="percentage")
                & Q(
                    rate_percent=None,
                    fixed_amount_per_event=None,
                    free_events=None,
                    free_amount=None,
                    per_event_minimum=None,
                    per_event_maximum=None,
                ),
                violation_error_message="A percentage price needs a rate. Other prices have no percentage fields.",
            ),
            models.CheckConstraint(
                name="price_interval_count",
                condition=Q(interval_count__gte=1),
                violation_error_message="The interval count must be 1 or more.",
            ),
            models.CheckConstraint(
                name="price_periods_of_fee",
                condition=Q(periods=1) | Q(kind="fixed", periods__gt=1),
                violation_error_message="Only a recurring fee can cover several billing periods.",
            ),
            models.CheckConstraint(
                name="price_conversion_positive",
                condition=Q(convert_multiply_by__gt=0, convert_divide_by__gt=0, quantity__gte=0),
                violation_error_message="Conversion factors must be positive, and the quantity can't be negative.",
            ),
            models.CheckConstraint(name="price_currency_code", condition=Q(currency__regex="^[A-Z]{3}$")),
            models.CheckConstraint(
                name="price_quantity_bounds",
                condition=Q(quantity_minimum=None, quantity_maximum=None)
                | Q(kind="fixed")
                & (Q(quantity_minimum=None) | Q(quantity__gte=models.F("quantity_minimum")))
                & (Q(quantity_maximum=None) | Q(quantity__lte=models.F("quantity_maximum"))),
                violation_error_message="Only a recurring fee has a smallest and largest quantity, and its quantity "
                "must be between them.",
            ),
            models.CheckConstraint(
                name="price_minimum_quantity",
                condition=Q(minimum_quantity=None)
                | Q(
                    kind="usage",
                    minimum_amount=None,
                    minimum_quantity__gt=0,
                    model__in=["per_unit", "package", "graduated", "volume"],
                ),
                violation_error_message="A minimum quantity must be positive. Only a usage price per unit, per package "
                "or in tiers has one, and no minimum amount beside it.",
            ),
            models.CheckConstraint(
                name="price_minimum_below_maximum",
                condition=Q(minimum_amount=None)
                | Q(maximum_amount=None)
                | Q(minimum_amount__lte=models.F("maximum_amount")),
                violation_error_message="The minimum must not exceed the maximum.",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["version", "currency", "interval", "interval_count"], name="price_by_terms"),
            models.Index(fields=["id"], condition=Q(periods__gt=1), name="price_of_several_periods"),
        ]
        triggers: ClassVar = [keep_rows(), keep_published("keep_published_price")]

    def __str__(self) -> str:
        return self.label

    def clean(self) -> None:
        """Name the fee of an add-on after it: on an invoice, it stands beside the plan's fee."""
        if self.kind == PriceKind.FIXED and not self.name and self.version_id and self.version.plan.is_addon:
            self.name = self.version.plan.name

    @property
    def label(self) -> str:
        """Return the name that invoice lines show."""
        return self.name or (self.feature.name if self.feature else "Recurring fee")

    @property
    def is_tiered(self) -> bool:
        return self.model in (PriceModel.GRADUATED, PriceModel.VOLUME, PriceModel.GRADUATED_PERCENTAGE)

    @property
    def every(self) -> Every:
        """Return how often the price is charged: a fee for 12 periods of a month every year."""
        every = Every(IntervalUnit(self.interval), self.interval_count * self.periods)
        return every if self.periods == 1 else every.in_longest_unit()

    @property
    def offer(self) -> Plan:
        """Return the plan or add-on whose list has the price, or the price that it replaces."""
        return self.version.plan if self.listed is None else self.listed.version.plan

    @property
    def list_id(self) -> int:
        """Return the id of the list price: its own, or that of the list price which this agreed price replaces."""
        return self.listed_id or self.pk


class PriceTier(models.Model):
    """A tier of a graduated or volume price, up to and including `up_to`. The last tier is unlimited."""

    price = models.ForeignKey(Price, models.CASCADE, related_name="tiers")
    up_to = NumericField(
        null=True, blank=True, help_text="Up to and including this quantity. Leave blank for the last tier."
    )
    unit_amount = UnitPriceField(default=0)
    flat_amount = UnitPriceField(default=0)
    rate_percent = UnitPriceField(default=0, help_text="Only for graduated percentages.")

    class Meta:
        ordering: ClassVar = ["price", models.F("up_to").asc(nulls_last=True)]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["price", "up_to"],
                name="tier_bound_once",
                nulls_distinct=False,
                violation_error_message="Two tiers end at the same quantity.",
            ),
            models.CheckConstraint(
                name="tier_positive",
                condition=(Q(up_to=None) | Q(up_to__gt=0))
                & Q(unit_amount__gte=0, flat_amount__gte=0, rate_percent__gte=0),
                violation_error_message="Tier limits must be positive, and amounts can't be negative.",
            ),
        ]
        triggers: ClassVar = [
            keep_rows(),
            keep_published(
                "keep_published_tier", "SELECT version_id FROM catalog_price WHERE id IN (OLD.price_id, NEW.price_id)"
            ),
        ]

    def __str__(self) -> str:
        return f"up to {self.up_to}" if self.up_to is not None else "unlimited"


class SharedPrice(models.Model):
    """A price of another version that agreed terms keep: of their list version, or of terms agreed before."""

    version = models.ForeignKey(PlanVersion, models.CASCADE, related_name="shared_prices")
    price = models.ForeignKey(Price, models.PROTECT, related_name="shared_by")

    class Meta:
        ordering: ClassVar = ["version", "price"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["version", "price"], name="shared_price_once")]
        triggers: ClassVar = [keep_rows(), keep_published("keep_published_shared_price")]

    def __str__(self) -> str:
        return f"{self.price} in {self.version}"


auditlog.register(Price, exclude_fields=["updated_at"])
auditlog.register(PriceTier)
