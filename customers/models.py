"""Who is billed: customers, their subscriptions, and each subscription's history as a chain of dated phases."""

from typing import ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Func, Q
from django.urls import reverse

from catalog.models import IntervalUnit, PlanVersion
from config.db import CurrencyField, PublicIdField, Stamped, keep_rows
from customers.querysets import CustomerQuerySet, SubscriptionQuerySet
from customers.validators import validate_timezone


class CustomerState(models.TextChoices):
    ACTIVE = "active", "Active"
    ARCHIVED = "archived", "Archived"


class TaxTreatment(models.TextChoices):
    TAXABLE = "taxable", "Taxable"
    EXEMPT = "exempt", "Exempt"
    REVERSE_CHARGE = "reverse_charge", "Reverse charge"


class Customer(Stamped):
    """Somebody who is billed, known to client systems by an external id that never changes."""

    public_id = PublicIdField("cust")
    external_id = models.CharField(
        "external customer id",
        max_length=255,
        unique=True,
        help_text="The external_customer_id that your events carry; capitals count. It can't be changed later.",
    )
    name = models.CharField(max_length=255)
    email = models.EmailField(blank=True)
    currency = CurrencyField(blank=True, help_text="For new subscriptions. Empty: the company's.")
    timezone = models.CharField(
        "time zone",
        max_length=64,
        default="UTC",
        validators=[validate_timezone],
        help_text="Where billing days begin and end.",
    )
    state = models.CharField(max_length=16, choices=CustomerState, default=CustomerState.ACTIVE)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    contact = models.CharField(max_length=255, blank=True)
    address_line1 = models.CharField("address, line 1", max_length=255, blank=True)
    address_line2 = models.CharField("address, line 2", max_length=255, blank=True)
    address_city = models.CharField("city", max_length=255, blank=True)
    address_state = models.CharField("state or region", max_length=255, blank=True)
    address_postal_code = models.CharField("postal code", max_length=32, blank=True)
    address_country = models.CharField(max_length=2, blank=True, help_text="Two capitals, ISO 3166, for example DE.")
    tax_id = models.CharField(max_length=64, blank=True)
    tax_treatment = models.CharField(max_length=16, choices=TaxTreatment, default=TaxTreatment.TAXABLE)
    tax_note = models.CharField(
        max_length=255,
        blank=True,
        default="",
        db_default="",
        help_text="Printed on invoices where no tax is charged, for example the certificate of exemption.",
    )
    net_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Days to pay an invoice. Empty: the company's."
    )
    metadata = models.JSONField(default=dict, blank=True)

    objects = CustomerQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name", "pk"]
        indexes: ClassVar = [models.Index(fields=["name", "id"], name="customer_by_name")]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="customer_external_id_trimmed",
                condition=~Q(external_id="") & ~Q(external_id__regex=r"^\s|\s$"),
                violation_error_message="The external customer id must not be empty, nor begin or end with a blank.",
            ),
            models.CheckConstraint(
                name="customer_archived_has_time",
                condition=Q(state="archived", archived_at__isnull=False) | Q(state="active", archived_at=None),
            ),
        ]
        triggers: ClassVar = [
            pgtrigger.Protect(
                name="keep_external_id",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__external_id__df=pgtrigger.F("new__external_id")),
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:customers_customer_change", args=[self.pk])

    @property
    def billing_currency(self) -> str:
        """Name the currency that new subscriptions take: the customer's, else the company's."""
        return self.currency or settings.DEFAULT_CURRENCY


class CustomerAlias(Stamped):
    """A wrong external id that senders use, mapped to the customer it means. The ledger keeps what was sent."""

    alias = models.CharField("external id as sent", max_length=255, unique=True)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="aliases")
    reason = models.CharField(max_length=255, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    to_recount = ArrayField(
        models.BigIntegerField(),
        default=list,
        editable=False,
        help_text="Customers it meant before: its events that were counted for them are still to be moved.",
    )

    class Meta:
        ordering: ClassVar = ["alias"]
        verbose_name_plural = "customer aliases"
        triggers: ClassVar = [
            pgtrigger.Trigger(
                name="note_former_customer",
                operation=pgtrigger.Update,
                when=pgtrigger.Before,
                condition=pgtrigger.Q(old__customer_id__df=pgtrigger.F("new__customer_id")),
                func="NEW.to_recount := array_append(OLD.to_recount, OLD.customer_id); RETURN NEW;",
            ),
            pgtrigger.Protect(name="keep_customer_alias", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.alias} → {self.customer.external_id}"


class Alignment(models.TextChoices):
    ANNIVERSARY = "anniversary", "Anniversary: counted from the anchor"
    CALENDAR = "calendar", "Calendar: first of the month, quarter, year; Mondays"


class Subscription(Stamped):
    """A customer's agreement to be billed in one currency and rhythm. What it buys, and when, is in its phases."""

    public_id = PublicIdField("subs")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="subscriptions")
    key = models.CharField("lookup key", max_length=255, unique=True, null=True, blank=True)
    currency = CurrencyField()
    interval = models.CharField("billing interval", max_length=16, choices=IntervalUnit, default=IntervalUnit.MONTH)
    interval_count = models.PositiveIntegerField(default=1)
    alignment = models.CharField("billing cycle", max_length=16, choices=Alignment, default=Alignment.ANNIVERSARY)
    anchor = models.DateTimeField("billing anchor", help_text="Periods are counted from here.")
    timezone = models.CharField(
        "time zone",
        max_length=64,
        default="UTC",
        validators=[validate_timezone],
        help_text="Taken from the customer at the start.",
    )
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True, help_text="Not served or billed from this moment on.")
    cancelled_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the cancellation was asked for."
    )
    prorate = models.BooleanField(default=True, help_text="Charge fees for short periods by the day.")
    net_days = models.PositiveIntegerField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-started_at", "-pk"]
        indexes: ClassVar = [
            models.Index(fields=["customer", "started_at"], name="subscription_of_customer"),
            models.Index(fields=["-started_at", "-id"], name="subscription_newest_first"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="subscription_ends_after_start",
                condition=Q(ended_at=None) | Q(ended_at__gte=F("started_at")),
                violation_error_message="The subscription ends before it starts.",
            ),
            models.CheckConstraint(name="subscription_interval_count", condition=Q(interval_count__gte=1)),
            models.CheckConstraint(name="subscription_currency_code", condition=Q(currency__regex="^[A-Z]{3}$")),
        ]
        triggers: ClassVar = [
            pgtrigger.Protect(
                name="keep_subscription_terms",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__customer_id__df=pgtrigger.F("new__customer_id"))
                | pgtrigger.Q(old__currency__df=pgtrigger.F("new__currency"))
                | pgtrigger.Q(old__started_at__df=pgtrigger.F("new__started_at")),
            )
        ]

    def __str__(self) -> str:
        return f"{self.customer} · {self.key or self.public_id}"

    def get_absolute_url(self) -> str:
        return reverse("admin:customers_subscription_change", args=[self.pk])


class PhaseKind(models.TextChoices):
    TRIAL = "trial", "Trial"
    ACTIVE = "active", "Active"
    PAUSED = "paused", "Paused"


class Period(Func):
    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class SubscriptionPhase(models.Model):
    """A stretch of a subscription's life under one plan version. Rows are never edited: a change supersedes the row
    and writes new ones, so the history also tells what was believed before, who changed it, and why."""

    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="phases")
    kind = models.CharField(max_length=8, choices=PhaseKind, default=PhaseKind.ACTIVE)
    plan_version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="phases")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=255, blank=True)
    recorded_at = models.DateTimeField()
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    superseded_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering: ClassVar = ["subscription", "starts_at", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(name="phase_not_empty", condition=Q(ends_at=None) | Q(ends_at__gt=F("starts_at"))),
            ExclusionConstraint(
                name="phase_one_at_a_time",
                expressions=[
                    ("subscription", RangeOperators.EQUAL),
                    (Period("starts_at", "ends_at", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                condition=Q(superseded_at=None),
            ),
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Protect(
                name="keep_phase",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__superseded_at__isnull=False)
                | pgtrigger.Q(new__superseded_at__isnull=True)
                | pgtrigger.Q(old__starts_at__df=pgtrigger.F("new__starts_at"))
                | pgtrigger.Q(old__ends_at__df=pgtrigger.F("new__ends_at"))
                | pgtrigger.Q(old__plan_version_id__df=pgtrigger.F("new__plan_version_id"))
                | pgtrigger.Q(old__kind__df=pgtrigger.F("new__kind")),
            ),
            pgtrigger.Protect(name="keep_phase_row", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} on {self.plan_version} from {self.starts_at:%Y-%m-%d %H:%M}"


auditlog.register(Customer, exclude_fields=["updated_at"])
auditlog.register(CustomerAlias, exclude_fields=["updated_at", "to_recount"])
auditlog.register(Subscription, exclude_fields=["updated_at"])
auditlog.register(SubscriptionPhase)
