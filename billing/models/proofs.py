"""Proofs: what was checked each night, and every figure that differed."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from billing.kinds import list_proof_kinds, list_proof_subjects
from billing.models.invoices import Invoice
from config.db import PublicIdField
from customers.models import Customer


class ProofRun(models.Model):
    """A night's proofs, or proofs of one invoice, customer or month that someone started."""

    public_id = PublicIdField("proof")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    is_nightly = models.BooleanField(default=False)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    invoice = models.ForeignKey(Invoice, models.CASCADE, null=True, related_name="+", help_text="Only this invoice.")
    customer = models.ForeignKey(Customer, models.PROTECT, null=True, related_name="+", help_text="Only this customer.")
    month = models.DateField(null=True, help_text="Only this month; its first day.")

    class Meta:
        ordering: ClassVar = ["-started_at", "-pk"]
        verbose_name = "proof"
        permissions: ClassVar = [("start_proofrun", "Can start proofs")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["is_nightly"],
                name="proof_nightly_one_at_a_time",
                condition=Q(is_nightly=True, finished_at=None),
            ),
            models.CheckConstraint(name="proof_month_named_by_first_day", condition=Q(month=None) | Q(month__day=1)),
        ]

    def __str__(self) -> str:
        return f"{self.scope_name}, {self.started_at:%Y-%m-%d %H:%M}"

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_proof", args=[self.public_id])

    @property
    def scope_name(self) -> str:
        """What was proved, in words, without personal data."""
        if self.invoice is not None:
            return str(self.invoice)
        if self.customer is not None:
            return f"Customer {self.customer.external_id}"
        return f"{self.month:%B %Y}" if self.month else "Nightly proofs"


class ProofResult(models.Model):
    """The result of one kind of proof: how much was checked, could not be checked yet, and differed."""

    run = models.ForeignKey(ProofRun, models.CASCADE, db_index=False, related_name="results")
    kind = models.CharField(max_length=16, choices=list_proof_kinds)
    scope = models.CharField(max_length=255, help_text="What was checked.")
    checked = models.PositiveBigIntegerField(default=0)
    waiting = models.PositiveBigIntegerField(
        default=0, help_text="Not provable yet: late usage is pending, or retention has removed the events."
    )
    differing = models.PositiveBigIntegerField(default=0)
    seconds = models.FloatField(default=0, help_text="Time of work, added up over all workers.")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["run", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "kind"], name="proof_result_once"),
            models.CheckConstraint(
                name="proof_result_adds_up", condition=Q(checked__gte=F("waiting") + F("differing"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.proved:,} of {self.checked:,}"

    @property
    def proved(self) -> int:
        return self.checked - self.waiting - self.differing


class MonthReconciliation(models.Model):
    """A month's reconciliation as the last nightly proofs calculated it, for companies too large for a page."""

    month = models.DateField(unique=True, help_text="The first day of the month.")
    as_of = models.DateTimeField()
    figures = models.JSONField()

    class Meta:
        ordering: ClassVar = ["-month"]
        constraints: ClassVar = [
            models.CheckConstraint(name="reconciliation_named_by_first_day", condition=Q(month__day=1))
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class ProofPart(models.Model):
    """A range of a proof's objects, checked by one worker at a time. Deleted once its result is complete."""

    result = models.ForeignKey(ProofResult, models.CASCADE, db_index=False, related_name="parts")
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    checked = models.PositiveBigIntegerField(default=0)
    waiting = models.PositiveBigIntegerField(default=0)
    differing = models.PositiveBigIntegerField(default=0)
    seconds = models.FloatField(default=0)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["result", "first_id", "pk"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["result", "first_id"], name="proof_part_once")]

    def __str__(self) -> str:
        return f"{self.first_id}-{self.last_id}"


class ProofDifference(models.Model):
    """A figure that differs from its recalculation, with the object that it belongs to."""

    result = models.ForeignKey(ProofResult, models.CASCADE, db_index=False, related_name="differences")
    subject = models.CharField(max_length=16, choices=list_proof_subjects)
    subject_id = models.BigIntegerField(help_text="The object's primary key.")
    name = models.CharField(max_length=255)
    figure = models.CharField(max_length=64)
    stated = models.CharField(max_length=255, blank=True)
    calculated = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering: ClassVar = ["result", "pk"]
        indexes: ClassVar = [models.Index(fields=["result", "id"], name="proof_difference_in_order")]

    def __str__(self) -> str:
        return f"{self.name}: {self.figure}"
