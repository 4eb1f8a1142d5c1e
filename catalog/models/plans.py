"""Plans, their versions, and the free tiers of a version. A published version is immutable."""

from typing import ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from catalog.kinds import EntitlementReset
from catalog.models.features import Feature
from config.db import NumericField, PublicIdField, Stamped, keep_rows


class PlanState(models.TextChoices):
    ACTIVE = "active", "Active"
    ARCHIVED = "archived", "Archived"


class Plan(Stamped):
    """A named offer. Its prices are in numbered versions, and subscriptions keep their version until they are moved."""

    public_id = PublicIdField("plan")
    name = models.CharField(max_length=255)
    key = models.CharField("lookup key", max_length=255, unique=True, null=True, blank=True)
    description = models.TextField(blank=True)
    display_order = models.IntegerField(default=0)
    state = models.CharField("status", max_length=16, choices=PlanState, default=PlanState.ACTIVE)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering: ClassVar = ["display_order", "name", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="plan_archived_has_time",
                condition=Q(state="archived", archived_at__isnull=False) | Q(state="active", archived_at=None),
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:catalog_plan_change", args=[self.pk])


class VersionState(models.TextChoices):
    DRAFT = "draft", "Draft"
    PUBLISHED = "published", "Published"


class ListVersions(models.Manager["PlanVersion"]):
    """The versions that are sold to anyone: without customers' agreed terms."""

    def get_queryset(self) -> models.QuerySet["PlanVersion"]:
        return super().get_queryset().filter(base=None)


class PlanVersion(Stamped):
    """One version of a plan. A draft can be edited. The database keeps a published version from changing.

    A version with a `base` are the terms agreed with one subscription: own prices and free tiers for what differs from
    the base, and shared ones of earlier versions (`SharedPrice`). `objects` leaves these versions out.
    """

    plan = models.ForeignKey(Plan, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(editable=False)
    state = models.CharField("status", max_length=16, choices=VersionState, default=VersionState.DRAFT, editable=False)
    trial_days = models.PositiveIntegerField(default=0, help_text="Free days at the start of a subscription.")
    is_held = models.BooleanField(
        "on hold",
        default=False,
        help_text="Publish this draft by hand only. Until then, new subscriptions use the published version. "
        "If off, the next new subscription publishes the draft.",
    )
    note = models.CharField(max_length=255, blank=True, help_text="What changed, and why.")
    published_at = models.DateTimeField(null=True, editable=False)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    base = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        editable=False,
        related_name="agreements",
        help_text="The list version of which these are a subscription's agreed terms.",
    )
    agreed_for = models.CharField(
        max_length=64, blank=True, default="", db_default="", editable=False, help_text="The ID of the subscription."
    )
    changes = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        editable=False,
        help_text="What is newly agreed from the start of these terms on.",
    )

    objects = ListVersions()
    with_agreed = models.Manager()

    class Meta:
        ordering: ClassVar = ["plan", "-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["plan", "number"], condition=Q(base=None), name="plan_version_number_once"),
            models.UniqueConstraint(
                fields=["plan"], condition=Q(state="draft", base=None), name="plan_version_one_draft"
            ),
            models.CheckConstraint(
                name="plan_version_agreed_with_one",
                condition=Q(base=None, agreed_for="") | Q(base__isnull=False) & ~Q(agreed_for=""),
            ),
            models.CheckConstraint(
                name="plan_version_published_has_time",
                condition=Q(state="published", published_at__isnull=False) | Q(state="draft", published_at=None),
            ),
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Protect(
                name="keep_published_version",
                operation=pgtrigger.Update | pgtrigger.Delete,
                condition=pgtrigger.Q(old__state="published"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan} v{self.number}" + (", agreed terms" if self.base_id else "")

    def get_absolute_url(self) -> str:
        """Return the page of the version; of agreed terms, the page of the list version."""
        return reverse("admin:catalog_planversion_change", args=[self.list_id])

    @property
    def is_published(self) -> bool:
        return self.state == VersionState.PUBLISHED

    @property
    def list_id(self) -> int:
        """Return the id of the list version: its own, or that of the version which these agreed terms derive from."""
        return self.base_id or self.pk


def keep_published(name: str, version_ids: str = "OLD.version_id, NEW.version_id") -> pgtrigger.Trigger:
    """Return a trigger that refuses to add, change or delete rows of a published plan version.

    `version_ids` is the SQL that lists the versions of OLD and NEW, so that no row moves out of or into one.
    """
    return pgtrigger.Trigger(
        name=name,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        when=pgtrigger.Before,
        func=f"""
            IF EXISTS (SELECT FROM catalog_planversion WHERE id IN ({version_ids}) AND state = 'published') THEN
                RAISE EXCEPTION 'a published plan version never changes: make a new version'
                    USING ERRCODE = 'restrict_violation';
            END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        """,
    )


class Entitlement(Stamped):
    """What a plan version includes of a feature: free units, on or off, or a fixed value."""

    public_id = PublicIdField("ent")
    version = models.ForeignKey(PlanVersion, models.CASCADE, related_name="entitlements")
    feature = models.ForeignKey(Feature, models.PROTECT, related_name="entitlements")
    free_units = NumericField(null=True, blank=True, help_text="Units free of charge. Leave blank for unlimited.")
    reset = models.CharField(max_length=16, choices=EntitlementReset.choices, default=EntitlementReset.PERIOD)
    is_prorated = models.BooleanField(default=False, help_text="Prorate the free units in a short billing period.")
    is_soft_limit = models.BooleanField(
        default=True, help_text="For access control in your own product: customers can exceed the free units."
    )
    is_enabled = models.BooleanField(default=True)
    static_value = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering: ClassVar = ["version", "feature"]
        verbose_name = "free tier"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["version", "feature"],
                name="entitlement_once_per_feature",
                violation_error_message="This version already has a free tier for the feature.",
            ),
            models.CheckConstraint(
                name="entitlement_free_units_positive",
                condition=Q(free_units=None) | Q(free_units__gte=0),
                violation_error_message="Free units can't be negative.",
            ),
        ]
        triggers: ClassVar = [keep_published("keep_published_entitlement")]

    def __str__(self) -> str:
        return f"{self.feature} in {self.version}"


auditlog.register(Plan, exclude_fields=["updated_at"])
auditlog.register(PlanVersion, exclude_fields=["updated_at"])
auditlog.register(Entitlement, exclude_fields=["updated_at"])
