"""Simulations: invoices of past periods calculated again on other prices, beside what was invoiced."""

from typing import ClassVar

from auditlog.registry import auditlog
from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from billing.models.coupons import Coupon
from catalog.models import Plan, PlanVersion
from config.db import AmountField, CurrencyField, PublicIdField
from customers.models import Customer, Subscription

MOST_PERIODS = 24
MOST_LISTED = 1_000


class SimulatedChange(models.TextChoices):
    VERSION = "version", "Plan version"
    COUPON = "coupon", "Discount"
    PRESENT = "present", "Present prices"


class SimulatedSelection(models.TextChoices):
    PLAN = "plan", "Subscriptions of a plan"
    SEGMENT = "segment", "Customers with a metadata value"
    LIST = "list", "A list of subscriptions"
    ALL = "all", "All subscriptions"


class SimulationState(models.TextChoices):
    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"
    CANCELED = "canceled", "Canceled"


class Simulation(models.Model):
    """What to simulate, for which subscriptions and how many periods, and the results once it is finished."""

    public_id = PublicIdField("sim")
    title = models.CharField(max_length=255, help_text="What is simulated, in words.")
    change = models.CharField(max_length=8, choices=SimulatedChange)
    version = models.ForeignKey(PlanVersion, models.SET_NULL, null=True, related_name="+")
    version_checksum = models.CharField(
        max_length=64, blank=True, default="", help_text="A hash of the version's prices and free tiers at the start."
    )
    coupon = models.ForeignKey(Coupon, models.PROTECT, null=True, related_name="+")
    replaces_agreed = models.BooleanField(
        default=False,
        help_text="Simulate the version also for subscriptions with agreed terms, which otherwise keep them.",
    )
    selection = models.CharField(max_length=8, choices=SimulatedSelection)
    plan = models.ForeignKey(Plan, models.PROTECT, null=True, related_name="+")
    segment_key = models.CharField(max_length=255, blank=True, default="")
    segment_value = models.CharField(max_length=255, blank=True, default="")
    listed = models.JSONField(default=list, help_text="The IDs of the listed subscriptions.")
    periods = models.PositiveSmallIntegerField(
        help_text="How many of each subscription's last invoiced periods are calculated again.",
        validators=[MinValueValidator(1), MaxValueValidator(MOST_PERIODS)],
    )
    limit_percent = models.DecimalField(
        max_digits=7,
        decimal_places=2,
        null=True,
        help_text="Periods whose total changes by more than this are marked.",
    )
    as_of = models.DateTimeField(help_text="Periods that ended by this time are calculated again.")
    started_at = models.DateTimeField()
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    state = models.CharField("status", max_length=8, choices=SimulationState, default=SimulationState.RUNNING)
    finished_at = models.DateTimeField(null=True)
    subscriptions = models.PositiveIntegerField(default=0, help_text="The number of selected subscriptions.")
    results = models.JSONField(default=list, help_text="Figures by currency, with amounts as texts.")
    digest = models.CharField(
        max_length=64, blank=True, default="", help_text="SHA-256 of the inputs and of everything that was calculated."
    )

    class Meta:
        ordering: ClassVar = ["-started_at", "-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="simulation_selects",
                condition=Q(selection="plan", plan__isnull=False)
                | Q(selection="segment") & ~Q(segment_key="")
                | Q(selection="list") & ~Q(listed=[])
                | Q(selection="all"),
            ),
            models.CheckConstraint(
                name="simulation_coupon_of_change",
                condition=Q(change="coupon", coupon__isnull=False) | ~Q(change="coupon") & Q(coupon=None),
            ),
            models.CheckConstraint(name="simulation_periods_in_range", condition=Q(periods__gte=1, periods__lte=24)),
            models.CheckConstraint(
                name="simulation_finished_has_digest",
                condition=Q(state="running", finished_at=None, digest="")
                | Q(state="finished", finished_at__isnull=False) & ~Q(digest="")
                | Q(state="canceled", finished_at__isnull=False, digest=""),
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_simulation_change", args=[self.pk])

    @property
    def is_running(self) -> bool:
        return self.state == SimulationState.RUNNING


class SimulationChunk(models.Model):
    """A range of a simulation's subscriptions, calculated by one worker at a time."""

    simulation = models.ForeignKey(Simulation, models.CASCADE, db_index=False, related_name="chunks")
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    subscriptions = models.PositiveIntegerField()
    failed = models.PositiveIntegerField(default=0)
    digest = models.CharField(max_length=64, blank=True, default="")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["simulation", "first_id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["simulation", "first_id"], name="simulation_chunk_once"),
            models.CheckConstraint(name="simulation_chunk_in_order", condition=Q(first_id__lte=F("last_id"))),
            models.CheckConstraint(
                name="simulation_chunk_finished_has_digest", condition=Q(finished_at=None) | ~Q(digest="")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.first_id}-{self.last_id}"


class SimulationInvoice(models.Model):
    """One period of a subscription: its invoices as they are, the same ones simulated, and why the totals differ.

    A row with a `problem` says why the subscription can't be simulated, and has no amounts.
    """

    simulation = models.ForeignKey(Simulation, models.CASCADE, db_index=False, related_name="invoices")
    subscription = models.ForeignKey(Subscription, models.PROTECT, db_index=False, related_name="+")
    customer = models.ForeignKey(Customer, models.PROTECT, db_index=False, related_name="+")
    currency = CurrencyField()
    period_start = models.DateTimeField(null=True)
    period_end = models.DateTimeField(null=True)
    invoiced = AmountField(default=0, help_text="The total of the period's invoices.")
    simulated = AmountField(default=0, help_text="The total that these invoices would have.")
    change = AmountField(default=0)
    changes_sign = models.BooleanField(default=False)
    exceeds_limit = models.BooleanField(default=False)
    problem = models.TextField(blank=True, default="")
    lines = models.JSONField(
        default=list, help_text="For each charge: its kind, its name, and its amounts invoiced and simulated."
    )
    parts = models.JSONField(
        default=list,
        help_text="The parts of the change: cause, name, amount, and the values before and after.",
    )

    class Meta:
        ordering: ClassVar = ["simulation", "pk"]
        verbose_name = "simulated period"
        indexes: ClassVar = [
            models.Index(fields=["simulation", "subscription"], name="simulated_of_subscription"),
            models.Index(fields=["simulation", "change"], name="simulated_by_change"),
            models.Index(fields=["customer"], name="simulated_of_customer"),
            models.Index(fields=["subscription"], name="simulated_by_subscription"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["simulation", "subscription", "period_start"], name="simulated_period_once"
            ),
            models.CheckConstraint(name="simulated_change_adds_up", condition=Q(change=F("simulated") - F("invoiced"))),
            models.CheckConstraint(
                name="simulated_is_period_or_problem",
                condition=Q(problem="", period_start__isnull=False, period_end__isnull=False)
                | ~Q(problem="") & Q(period_start=None, invoiced=0, simulated=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subscription} from {self.period_start:%Y-%m-%d}" if self.period_start else self.problem


auditlog.register(Simulation, include_fields=["title", "selection", "periods", "state"])
