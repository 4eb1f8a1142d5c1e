"""Usage per customer, feature and UTC hour, whatever the plan."""

from typing import ClassVar

from django.db import models

from catalog.models import Feature
from config.db import NumericField
from customers.models import Customer


class UsageBucket(models.Model):
    """The totals of an hour's counted events, for every aggregation."""

    pk = models.CompositePrimaryKey("customer_id", "feature_id", "hour")
    customer = models.ForeignKey(Customer, models.PROTECT, db_index=False, related_name="+")
    feature = models.ForeignKey(Feature, models.PROTECT, db_index=False, related_name="+")
    hour = models.DateTimeField(help_text="The hour's start, UTC.")
    count = models.BigIntegerField()
    total = NumericField(help_text="Sum of the values, multiplied by the feature's multiplier.")
    weighted = NumericField(help_text="Sum of value × seconds since 1970, for weighted sums.")
    maximum = NumericField(null=True)
    minimum = NumericField(null=True)
    latest = NumericField(null=True)
    latest_at = models.DateTimeField(null=True)
    latest_id = models.BigIntegerField(
        null=True, help_text="The event with the latest value; of events at the same time, the later arrival."
    )
    checksum = models.BigIntegerField(help_text="XOR of the event ids' hashes: shows which events were counted.")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["feature", "hour"], name="usage_bucket_of_feature")]

    def __str__(self) -> str:
        return f"{self.customer_id} {self.feature_id} {self.hour:%Y-%m-%d %H}"


class UsageDay(models.Model):
    """A UTC day's hours added up, so that long windows read few rows. Exists for days before the rollup's mark."""

    pk = models.CompositePrimaryKey("customer_id", "feature_id", "day")
    customer = models.ForeignKey(Customer, models.PROTECT, db_index=False, related_name="+")
    feature = models.ForeignKey(Feature, models.PROTECT, db_index=False, related_name="+")
    day = models.DateTimeField(help_text="The day's start, UTC.")
    count = models.BigIntegerField()
    total = NumericField()
    weighted = NumericField()
    maximum = NumericField(null=True)
    minimum = NumericField(null=True)
    checksum = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.customer_id} {self.feature_id} {self.day:%Y-%m-%d}"


class UsageRollup(models.Model):
    """The time up to which days are rolled up. Events that count in an older day are added to its row immediately."""

    until = models.DateTimeField(unique=True)
    rolled_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-until"]

    def __str__(self) -> str:
        return f"{self.until:%Y-%m-%d}"


class UsageMark(models.Model):
    """The time up to which a customer's usage was invoiced. Later changes before it are recorded in `TouchedUsage`."""

    customer = models.OneToOneField(Customer, models.PROTECT, primary_key=True, related_name="+")
    closed_until = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["closed_until"], name="usage_mark_latest")]

    def __str__(self) -> str:
        return f"{self.customer_id} {self.closed_until:%Y-%m-%d %H:%M}"


class TouchedUsage(models.Model):
    """An hour before its customer's mark whose usage changed. It may be listed several times; billing removes it."""

    customer = models.ForeignKey(Customer, models.PROTECT, db_index=False, related_name="+")
    feature = models.ForeignKey(Feature, models.PROTECT, db_index=False, related_name="+")
    hour = models.DateTimeField()

    class Meta:
        verbose_name_plural = "touched usage"

    def __str__(self) -> str:
        return f"{self.customer_id} {self.feature_id} {self.hour:%Y-%m-%d %H}"


class UniqueValue(models.Model):
    """A distinct value of a unique count within an hour, and the number of events with it."""

    pk = models.CompositePrimaryKey("customer_id", "feature_id", "hour", "value")
    customer = models.ForeignKey(Customer, models.PROTECT, db_index=False, related_name="+")
    feature = models.ForeignKey(Feature, models.PROTECT, db_index=False, related_name="+")
    hour = models.DateTimeField()
    value = models.TextField(help_text="As text: numbers without trailing zeros, long texts as their SHA-256.")
    count = models.BigIntegerField()

    def __str__(self) -> str:
        return self.value
