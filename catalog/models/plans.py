"""Plans, their versions, and the free tiers of a version. A published version is immutable."""

from typing import Any, ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse

from catalog.kinds import EntitlementReset
from catalog.models.features import Feature
from config.db import NumericField, PublicIdField, Stamped, keep_rows, make_public_id


class PlanState(models.TextChoices):
    ACTIVE = "active", "Active"
    ARCHIVED = "archived", "Archived"


class OfferKind(models.TextChoices):
    PLAN = "plan", "Plan"
    ADDON = "addon", "Add-on"


class Plans(models.Manager["Plan"]):
    """The plans, without add-ons."""

    def get_queryset(self) -> models.QuerySet["Plan"]:
        return super().get_queryset().filter(kind=OfferKind.PLAN)


class Plan(Stamped):
    """A named offer. Its prices are in numbered versions, and subscriptions keep their version until they are moved.

    An add-on is an offer, too, of the proxy `Addon`: `objects` leaves add-ons out.
    """

    public_id = PublicIdField("plan")
    kind = models.CharField(
        max_length=8, choices=OfferKind, default=OfferKind.PLAN, db_default=OfferKind.PLAN.value, editable=False
    )
    name = models.CharField(max_length=255)
    key = models.CharField("lookup key", max_length=255, unique=True, null=True, blank=True)
    description = models.TextField(blank=True)
    display_order = models.IntegerField(default=0)
    state = models.CharField("status", max_length=16, choices=PlanState, default=PlanState.ACTIVE)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    compatible_plans = models.ManyToManyField(
        "self",
        symmetrical=False,
        blank=True,
        related_name="+",
        help_text="The plans that the add-on can be added to. Leave blank for all.",
    )
    maximum = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How often a subscription can have the add-on at the same time. Leave blank for no limit.",
    )
    metadata = models.JSONField(default=dict, blank=True)

    objects = Plans()
    with_addons = models.Manager()

    class Meta:
        ordering: ClassVar = ["display_order", "name", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="plan_maximum_of_addon",
                condition=Q(maximum=None) | Q(kind="addon", maximum__gte=1),
            ),
            models.CheckConstraint(
                name="plan_archived_has_time",
                condition=Q(state="archived", archived_at__isnull=False) | Q(state="active", archived_at=None),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        name = "addon" if self.is_addon else "plan"
        return reverse(f"admin:catalog_{name}_change", args=[self.pk])

    def clean(self) -> None:
        """Refuse a lookup key that an offer of the other kind has. Its own kind is checked with the column."""
        if self.key and Plan.with_addons.filter(key=self.key).exclude(pk=self.pk).exclude(kind=self.kind).exists():
            raise ValidationError({"key": ValidationError("Another offer has this lookup key.", code="unique")})

    @property
    def is_addon(self) -> bool:
        return self.kind == OfferKind.ADDON


class Addons(models.Manager["Addon"]):
    """The add-ons, without plans."""

    def get_queryset(self) -> models.QuerySet["Addon"]:
        return super().get_queryset().filter(kind=OfferKind.ADDON)


class Addon(Plan):
    """An offer that subscriptions can have in addition to their plan, several times and for a time."""

    objects: ClassVar[Addons] = Addons()  # type: ignore[assignment]  # add-ons instead of plans

    class Meta:
        proxy = True
        default_permissions = ()  # who works with plans works with add-ons
        ordering: ClassVar = ["display_order", "name", "pk"]
        verbose_name = "add-on"

    def clean_fields(self, exclude: Any = None) -> None:
        self._become_addon()
        super().clean_fields(exclude=exclude)

    def save(self, *args: Any, **kwargs: Any) -> None:
        self._become_addon()
        super().save(*args, **kwargs)

    def _become_addon(self) -> None:
        if self.kind != OfferKind.ADDON:
            self.kind, self.public_id = OfferKind.ADDON, make_public_id("addon")


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
    the base, and shared ones of earlier versions (`SharedPrice`). `objects` leaves these versions out. A version with
    `addons` are the terms `without_addons` together with add-ons of the subscription.
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
    without_addons = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        editable=False,
        related_name="composed",
        help_text="The same terms without the add-ons.",
    )
    addons = models.JSONField(
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        editable=False,
        help_text="How often the subscription has which version of an add-on.",
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
                name="plan_version_of_addons",
                condition=Q(without_addons=None, addons={})
                | Q(without_addons__isnull=False, base__isnull=False) & ~Q(addons={}),
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
        if self.without_addons_id:
            return f"{self.plan} v{self.number} with add-ons"
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

    @property
    def terms_id(self) -> int:
        """Return the id of the same terms without add-ons: its own, if it has none."""
        return self.without_addons_id or self.pk

    @property
    def terms(self) -> "PlanVersion":
        """Return the same terms without add-ons."""
        return self.without_addons or self


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


auditlog.register(Plan, exclude_fields=["updated_at"], m2m_fields={"compatible_plans"})
auditlog.register(Addon, exclude_fields=["updated_at"])
auditlog.register(PlanVersion, exclude_fields=["updated_at"])
auditlog.register(Entitlement, exclude_fields=["updated_at"])
