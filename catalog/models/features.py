"""Features: what customers use, and how events are metered."""

import operator
from functools import reduce
from typing import ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import MD5, Cast, Now
from django.urls import reverse

from catalog.kinds import Aggregation
from catalog.validators import validate_filters
from config.db import NumericField, PublicIdField, Stamped


class UsageReset(models.TextChoices):
    PERIODIC = "periodic", "Periodic: starts at 0 each billing period"
    CUMULATIVE = "cumulative", "Cumulative: the running total is billed every period"


class FeatureKind(models.TextChoices):
    METERED = "metered", "Metered"
    BOOLEAN = "boolean", "On or off"
    STATIC = "static", "A fixed value"


class FeatureState(models.TextChoices):
    ACTIVE = "active", "Active"
    ARCHIVED = "archived", "Archived"


class Rounding(models.TextChoices):
    NONE = "none", "None"
    HALF_UP = "round", "Nearest, halves away from zero"
    CEIL = "ceil", "Up"
    FLOOR = "floor", "Down"


class FeatureQuerySet(models.QuerySet["Feature"]):
    def metered(self) -> "FeatureQuerySet":
        """Keep features that count events, archived features included."""
        return self.filter(kind=FeatureKind.METERED)

    def active(self) -> "FeatureQuerySet":
        """Keep features that aren't archived."""
        return self.filter(state=FeatureState.ACTIVE)


def accept_numeric_strings_default() -> bool:
    """Return the company's default for new features, from the settings."""
    return bool(settings.ACCEPT_NUMERIC_STRINGS)


METER_COLUMNS = (
    *("event_name", "aggregation", "field", "field_aliases", "multiplier"),
    *("filters", "excluded", "accept_numeric_strings", "counts_from", "archived_at"),
)
METER_CHANGED = reduce(
    operator.or_, (pgtrigger.Q(**{f"old__{name}__df": pgtrigger.F(f"new__{name}")}) for name in METER_COLUMNS)
)


class Feature(Stamped):
    """Something customers use. A metered feature names the events it counts and how they are aggregated."""

    public_id = PublicIdField("feat")
    name = models.CharField(max_length=255)
    key = models.CharField(
        "lookup key",
        max_length=255,
        unique=True,
        null=True,
        blank=True,
        help_text="Your own stable key for the API.",
    )
    description = models.TextField(blank=True)
    kind = models.CharField(max_length=16, choices=FeatureKind, default=FeatureKind.METERED)
    event_name = models.CharField(
        max_length=255,
        blank=True,
        help_text="Exactly as your systems send it. Case-sensitive: model.usage and Model.Usage are different events.",
    )
    aggregation = models.CharField(max_length=24, choices=Aggregation.choices, blank=True)
    field = models.CharField(
        "aggregation field",
        max_length=255,
        blank=True,
        help_text="The event property to aggregate, for example credits. Use dots for nested properties.",
    )
    field_aliases = ArrayField(
        models.CharField(max_length=255),
        verbose_name="other names of the field",
        default=list,
        db_default=[],
        blank=True,
        help_text="Properties that are read if the aggregation field is missing, for example token for tokens.",
    )
    multiplier = NumericField(
        null=True, blank=True, help_text="Only for Sum with multiplier: every value is multiplied by this number."
    )
    filters = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_filters],
        help_text='Count only events whose properties match, for example {"model": ["gpt-4", "gpt-4o"]}. '
        "All properties must match. Of each property, any of the values matches.",
    )
    excluded = models.JSONField(
        "excluded values",
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        blank=True,
        validators=[validate_filters],
        help_text='Don\'t count events whose properties match, for example {"region": ["eu", "us"]}. Events without '
        "the property count.",
    )
    variant_of = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        editable=False,
        related_name="variants",
        help_text="The feature that this one counts for some values of a property only.",
    )
    variant_property = models.CharField(
        max_length=255,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Of a variant: the property whose values it counts, or whose other values.",
    )
    reset = models.CharField("usage reset", max_length=16, choices=UsageReset, default=UsageReset.PERIODIC)
    unit_singular = models.CharField(max_length=64, blank=True, help_text="The name of one unit, for example token.")
    unit_plural = models.CharField(
        max_length=64, blank=True, help_text="The name of several units, for example tokens."
    )
    accept_numeric_strings = models.BooleanField(
        "does your client send numbers as text?",
        default=accept_numeric_strings_default,
        help_text='Count "2" as the number 2. The official Flexprice SDKs send all values as text. If off, such an '
        "event becomes a problem.",
    )
    rounding = models.CharField("quantity rounding", max_length=8, choices=Rounding, default=Rounding.NONE)
    rounding_places = models.SmallIntegerField(
        default=0, help_text="Decimal places. A negative number rounds to tens, hundreds, and so on."
    )
    counts_from = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Count events that occurred at or after this time. Leave blank to count all events.",
    )
    state = models.CharField("status", max_length=16, choices=FeatureState, default=FeatureState.ACTIVE)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    first_counted_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="When the first event was counted. The meter can't be changed after that.",
    )
    meter_changed_at = models.DateTimeField(
        db_default=Now(), editable=False, help_text="When the meter last changed. Set by the database."
    )
    recounted_at = models.DateTimeField(
        null=True, editable=False, help_text="The meter change for which earlier events were last recounted."
    )
    metadata = models.JSONField(default=dict, blank=True)

    objects = FeatureQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name", "pk"]
        indexes: ClassVar = [models.Index(fields=["event_name", "state"], name="feature_event_name")]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="feature_metered_has_meter",
                condition=Q(kind="metered") & ~Q(event_name="") & ~Q(aggregation="")
                | ~Q(kind="metered") & Q(event_name="", aggregation="", field=""),
                violation_error_message="A metered feature needs an event name and an aggregation, others neither.",
            ),
            models.CheckConstraint(
                name="feature_field_unless_count",
                condition=~Q(kind="metered")
                | Q(aggregation="count", field="")
                | ~Q(aggregation="count") & ~Q(field=""),
                violation_error_message="Enter the aggregation field. Only Count has none.",
            ),
            models.CheckConstraint(
                name="feature_aliases_have_field",
                condition=Q(field_aliases=[]) | ~Q(field=""),
                violation_error_message="Only a feature with an aggregation field has other names for it.",
            ),
            models.CheckConstraint(
                name="feature_multiplier",
                condition=Q(aggregation="sum_with_multiplier", multiplier__isnull=False, multiplier__gt=0)
                | ~Q(aggregation="sum_with_multiplier") & Q(multiplier=None),
                violation_error_message="Sum with multiplier needs a positive multiplier. Others have none.",
            ),
            models.CheckConstraint(
                name="feature_event_name_trimmed",
                condition=~Q(event_name__regex=r"^\s|\s$"),
                violation_error_message="The event name must not start or end with a space.",
            ),
            models.CheckConstraint(
                name="feature_archived_has_time",
                condition=Q(state="archived", archived_at__isnull=False) | Q(state="active", archived_at=None),
            ),
            models.UniqueConstraint(
                "variant_of",
                # Long lists of values don't fit into an index.
                MD5(Cast("filters", models.TextField())),
                MD5(Cast("excluded", models.TextField())),
                condition=Q(variant_of__isnull=False),
                name="feature_variant_once",
                violation_error_message="The feature already has a variant with these values.",
            ),
            models.CheckConstraint(
                name="feature_variant_has_property",
                condition=Q(variant_of=None, variant_property="")
                | Q(variant_of__isnull=False) & ~Q(variant_property=""),
            ),
            models.CheckConstraint(
                name="feature_units_together",
                condition=Q(unit_singular="", unit_plural="") | ~Q(unit_singular="") & ~Q(unit_plural=""),
                violation_error_message="Enter the unit in the singular and the plural, or leave both blank.",
            ),
        ]
        triggers: ClassVar = [
            pgtrigger.Protect(
                name="keep_meter_of_counted_feature",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__first_counted_at__isnull=False)
                & (
                    pgtrigger.Q(old__event_name__df=pgtrigger.F("new__event_name"))
                    | pgtrigger.Q(old__aggregation__df=pgtrigger.F("new__aggregation"))
                    | pgtrigger.Q(old__field__df=pgtrigger.F("new__field"))
                    | pgtrigger.Q(old__reset__df=pgtrigger.F("new__reset"))
                    | pgtrigger.Q(old__multiplier__df=pgtrigger.F("new__multiplier"))
                ),
            ),
            pgtrigger.Trigger(
                name="note_meter_change",
                operation=pgtrigger.Update,
                when=pgtrigger.Before,
                condition=METER_CHANGED,
                func="NEW.meter_changed_at := clock_timestamp(); RETURN NEW;",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:catalog_feature_change", args=[self.pk])

    @property
    def is_cumulative(self) -> bool:
        return self.reset == UsageReset.CUMULATIVE

    @property
    def is_filtered(self) -> bool:
        """Return whether the feature counts only some events of its name."""
        return bool(self.filters or self.excluded)

    @property
    def is_meter_fixed(self) -> bool:
        """Return whether the meter can no longer change, since it has counted events."""
        return self.first_counted_at is not None

    @property
    def whole_id(self) -> int:
        """Return the id of the feature that counts all values: its own, unless it is a variant."""
        return self.variant_of_id or self.pk

    @property
    def counts_other_values(self) -> bool:
        """Return whether this is the variant for all values of its property that have no variant of their own."""
        return bool(self.variant_property) and self.variant_property in self.excluded

    @property
    def variant_values(self) -> list[str]:
        """Return the values that a variant counts; of the variant for all other values, those that it doesn't count."""
        values = self.excluded if self.counts_other_values else self.filters
        return list(values.get(self.variant_property, ()))

    def unit_for(self, quantity: object) -> str:
        """Return the unit for a quantity: "token" for 1, "tokens" otherwise, or "unit" and "units" by default."""
        if not self.unit_plural:
            return "unit" if quantity == 1 else "units"
        return self.unit_singular if quantity == 1 else self.unit_plural


class EventNameAlias(Stamped):
    """A wrong event name that senders use, and the right one it is mapped to. The ledger keeps what was sent."""

    alias = models.CharField("name as sent", max_length=255, unique=True)
    event_name = models.CharField("counts as", max_length=255)
    reason = models.CharField(max_length=255, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["alias"]
        verbose_name_plural = "event name aliases"
        constraints: ClassVar = [
            models.CheckConstraint(
                name="alias_is_another_name",
                condition=~Q(alias=F("event_name")),
                violation_error_message="The alias is the event name itself.",
            )
        ]
        triggers: ClassVar = [
            pgtrigger.Trigger(
                name="note_meter_change_by_alias",
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                when=pgtrigger.After,
                func="""
                    UPDATE catalog_feature SET meter_changed_at = clock_timestamp()
                    WHERE event_name IN (
                        CASE WHEN TG_OP <> 'INSERT' THEN OLD.event_name END,
                        CASE WHEN TG_OP <> 'DELETE' THEN NEW.event_name END
                    );
                    RETURN NULL;
                """,
            )
        ]

    def __str__(self) -> str:
        return f"{self.alias} → {self.event_name}"


auditlog.register(Feature, exclude_fields=["updated_at", "first_counted_at", "meter_changed_at", "recounted_at"])
auditlog.register(EventNameAlias, exclude_fields=["updated_at"])
