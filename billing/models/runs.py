"""Billing progress of each subscription, billing runs, and their findings."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from billing.kinds import InvoiceKind
from billing.money import format_amount
from config.db import AmountField, CurrencyField, PublicIdField
from customers.models import Subscription


class BillingState(models.Model):
    """How far a subscription is billed, when it is next due, and why it is parked if it can't be billed."""

    subscription = models.OneToOneField(Subscription, models.PROTECT, primary_key=True, related_name="billing")
    due_at = models.DateTimeField(null=True, help_text="When the next invoice is due; empty if there won't be one.")
    billed_until = models.DateTimeField(null=True, help_text="The end of the last invoiced period.")
    opened = models.BooleanField(default=False, help_text="Whether the fees due at the start have been invoiced.")
    closed_at = models.DateTimeField(null=True, help_text="The end of the subscription, once invoiced.")
    change_at = models.DateTimeField(
        null=True, help_text="When a change is to be invoiced that doesn't wait for the period's end."
    )
    parked_at = models.DateTimeField(null=True)
    parked_reason = models.TextField(blank=True)
    attempts = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "billing progress"
        verbose_name_plural = "billing progress"
        indexes: ClassVar = [
            models.Index(fields=["due_at", "subscription"], name="billing_due", condition=Q(due_at__isnull=False)),
            models.Index(fields=["parked_at"], name="billing_parked", condition=Q(parked_at__isnull=False)),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(name="parked_has_reason", condition=Q(parked_at=None) | ~Q(parked_reason=""))
        ]

    def __str__(self) -> str:
        return f"Billing of {self.subscription}"


class RunKind(models.TextChoices):
    SCHEDULED = "scheduled", "Scheduled"
    MANUAL = "manual", "Started by staff"
    DRY = "dry", "Dry run"


class RunState(models.TextChoices):
    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"


class BillingRun(models.Model):
    """One pass over all subscriptions that are due, with its progress."""

    public_id = PublicIdField("run")
    kind = models.CharField(max_length=16, choices=RunKind)
    state = models.CharField("status", max_length=16, choices=RunState, default=RunState.RUNNING)
    as_of = models.DateTimeField(help_text="Periods that ended by this time are invoiced.")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    subscriptions = models.PositiveIntegerField(default=0, help_text="Subscriptions due when the run started.")
    done = models.PositiveIntegerField(default=0)
    invoices_made = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0, help_text="Subscriptions that couldn't be billed.")
    amounts = models.JSONField(default=dict, help_text="Amounts invoiced, by currency.")
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering: ClassVar = ["-started_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["state"], name="one_run_at_a_time", condition=Q(state="running") & ~Q(kind="dry")
            )
        ]

    def __str__(self) -> str:
        what = "Dry run" if self.kind == RunKind.DRY else "Run"
        return f"{what} of {self.started_at:%Y-%m-%d %H:%M}"

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_billingrun_change", args=[self.pk])


class RunChunk(models.Model):
    """A range of a run's subscriptions, billed by one worker at a time."""

    run = models.ForeignKey(BillingRun, models.CASCADE, related_name="chunks")
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    done = models.PositiveIntegerField(default=0)
    invoices_made = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    amounts = models.JSONField(default=dict)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["run", "first_id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "first_id"], name="run_chunk_once")]

    def __str__(self) -> str:
        return f"{self.first_id}-{self.last_id}"


class RunFinding(models.Model):
    """A run's finding about a subscription: why it couldn't be billed or, in a dry run, an expected invoice."""

    run = models.ForeignKey(BillingRun, models.CASCADE, db_index=False, related_name="findings")
    subscription = models.ForeignKey(Subscription, models.PROTECT, db_index=False, related_name="+")
    problem = models.TextField(blank=True)
    kind = models.CharField(max_length=8, choices=InvoiceKind.choices, blank=True)
    period_start = models.DateTimeField(null=True)
    period_end = models.DateTimeField(null=True)
    currency = CurrencyField()
    lines = models.PositiveIntegerField(default=0)
    total = AmountField(null=True)
    change = AmountField(null=True, help_text="Compared with the previous period's invoice; empty for the first.")

    class Meta:
        ordering: ClassVar = ["run", "pk"]
        indexes: ClassVar = [
            models.Index(fields=["run", "id"], name="run_finding_in_order"),
            models.Index(fields=["run", "id"], name="run_finding_problems", condition=~Q(problem="")),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="run_finding_is_invoice_or_problem",
                condition=Q(problem="", total__isnull=False, period_start__isnull=False, period_end__isnull=False)
                & ~Q(kind="")
                | ~Q(problem="") & Q(total=None, kind=""),
            )
        ]

    def __str__(self) -> str:
        if self.total is None:
            return self.problem
        return f"{self.get_kind_display()} of {format_amount(self.total, self.currency)}"
