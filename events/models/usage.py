"""Usage, kept per customer, feature and UTC hour. It knows nothing of plans."""

from typing import ClassVar

from django.db import models

from catalog.models import Feature
from config.db import NumericField
from customers.models import Customer


class UsageBucket(models.Model):
    """What one hour's counted events add up to, in every way that an aggregation can need."""

    pk = models.CompositePrimaryKey("customer_id", "feature_id", "hour")
    customer = models.ForeignKey(Customer, models.PROTECT, db_index=False, related_name="+")
    feature = models.ForeignKey(Feature, models.PROTECT, db_index=False, related_name="+")
    hour = models.DateTimeField(help_text="The hour's start, UTC.")
    count = models.BigIntegerField()
    total = NumericField(help_text="Σ value; the feature's multiplier is included.")
    weighted = NumericField(help_text="Σ value × seconds since 1970, for sums weighted by time.")
    maximum = NumericField(null=True)
    minimum = NumericField(null=True)
    latest = NumericField(null=True)
    latest_at = models.DateTimeField(null=True)
    latest_id = models.BigIntegerField(
        null=True, help_text="Which event gave `latest`: of equal times the later arrival."
    )
    checksum = models.BigIntegerField(help_text="XOR of the event ids' hashes: proves which events were counted.")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["feature", "hour"], name="usage_bucket_of_feature")]

    def __str__(self) -> str:
        return f"{self.customer_id} {self.feature_id} {self.hour:%Y-%m-%d %H}"


class UsageDay(models.Model):
    """A UTC day's buckets added up, so that long windows read few rows. Kept for days before the rollup's mark."""

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
    """The mark up to which days are rolled up. Whatever counts into an older day is added to its row at once."""

    until = models.DateTimeField(unique=True)
    rolled_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-until"]

    def __str__(self) -> str:
        return f"{self.until:%Y-%m-%d}"


class UsageMark(models.Model):
    """The moment up to which a customer's usage was invoiced. What counts before it afterwards is noted as touched."""

    customer = models.OneToOneField(Customer, models.PROTECT, primary_key=True, related_name="+")
    closed_until = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["closed_until"], name="usage_mark_latest")]

    def __str__(self) -> str:
        return f"{self.customer_id} {self.closed_until:%Y-%m-%d %H:%M}"


class TouchedUsage(models.Model):
    """An hour before its customer's mark whose usage changed. May be there several times; billing takes it away."""

    customer = models.ForeignKey(Customer, models.PROTECT, db_index=False, related_name="+")
    feature = models.ForeignKey(Feature, models.PROTECT, db_index=False, related_name="+")
    hour = models.DateTimeField()

    class Meta:
        verbose_name_plural = "touched usage"

    def __str__(self) -> str:
        return f"{self.customer_id} {self.feature_id} {self.hour:%Y-%m-%d %H}"


class UniqueValue(models.Model):
    """One distinct value of a unique count within an hour, with how many events carried it."""

    pk = models.CompositePrimaryKey("customer_id", "feature_id", "hour", "value")
    customer = models.ForeignKey(Customer, models.PROTECT, db_index=False, related_name="+")
    feature = models.ForeignKey(Feature, models.PROTECT, db_index=False, related_name="+")
    hour = models.DateTimeField()
    value = models.TextField(help_text="As text; numbers without trailing zeros; long ones as their SHA-256.")
    count = models.BigIntegerField()

    def __str__(self) -> str:
        return self.value
