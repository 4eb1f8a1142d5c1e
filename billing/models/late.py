"""Late usage: periods to check, adjustments to invoiced periods, and the policy that decides how to bill them."""

from typing import ClassVar

from auditlog.registry import auditlog
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from billing.models.credit_notes import CreditNote
from billing.models.invoices import Invoice
from billing.models.lines import InvoiceLine
from billing.money import format_amount
from catalog.models import Feature, Price
from config.db import AmountField, CurrencyField, NumericField, PublicIdField, Stamped
from customers.models import Subscription


class LateCheck(models.Model):
    """An invoiced period whose usage changed, to be recalculated. If its invoice is a draft, after finalizing."""

    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="late_checks")
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    noted_at = models.DateTimeField()
    problem = models.TextField(blank=True, help_text="Why the last calculation failed.")
    retry_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["subscription", "period_start"], name="late_check_once_per_period")
        ]

    def __str__(self) -> str:
        return f"{self.subscription_id} from {self.period_start:%Y-%m-%d %H:%M}"


class LateState(models.TextChoices):
    HELD = "held", "Waiting for approval"
    WAITING = "waiting", "On the next invoice"
    SMALL = "small", "Below the limit"
    INVOICED = "invoiced", "Invoiced"
    CREDITED = "credited", "On a credit note"
    IGNORED = "ignored", "Waived"
    CANCELLED = "cancelled", "No longer needed"


OPEN_STATES = (LateState.HELD, LateState.WAITING, LateState.SMALL)
SETTLED_STATES = (LateState.INVOICED, LateState.CREDITED, LateState.IGNORED)


class LateAdjustment(Stamped):
    """The difference between what was charged for a price in an invoiced period and what its usage now amounts to.

    `before` is what has been invoiced, credited or waived so far; `after` is the current calculation. The original
    charge was `before` plus `credited`. An open adjustment follows usage; a settled one no longer changes, and further
    changes create another adjustment.
    """

    public_id = PublicIdField("late")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="late_adjustments")
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    invoice = models.ForeignKey(
        Invoice,
        models.PROTECT,
        null=True,
        related_name="late_adjustments",
        help_text="The invoice being corrected; empty if nothing was invoiced for the period.",
    )
    adjusts = models.ForeignKey(InvoiceLine, models.PROTECT, null=True, db_index=False, related_name="+")
    feature = models.ForeignKey(Feature, models.PROTECT, db_index=False, related_name="+")
    price = models.ForeignKey(Price, models.PROTECT, db_index=False, related_name="+")
    currency = CurrencyField()
    quantity_before = NumericField()
    quantity_after = NumericField()
    free_before = NumericField()
    free_after = NumericField()
    billable_before = NumericField()
    billable_after = NumericField()
    amount_before = AmountField()
    amount_after = AmountField()
    discount_back = AmountField(default=0, help_text="For a negative adjustment, the discount on the original charge.")
    credited = AmountField(
        default=0,
        db_default=0,
        help_text="The part of the original charge that was already credited manually.",
    )
    amount = models.GeneratedField(
        expression=F("amount_after") - F("amount_before"), output_field=AmountField(), db_persist=True
    )
    events_before = models.BigIntegerField()
    events_after = models.BigIntegerField()
    checksum_before = models.BigIntegerField()
    checksum_after = models.BigIntegerField()
    again = models.JSONField(default=list, help_text="The recalculated lines.")
    state = models.CharField("status", max_length=16, choices=LateState)
    reason = models.CharField(
        max_length=255, blank=True, help_text="Why the adjustment was waived or is no longer needed."
    )
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    line = models.OneToOneField(InvoiceLine, models.PROTECT, null=True, related_name="late_adjustment")
    credit_note = models.OneToOneField(CreditNote, models.PROTECT, null=True, related_name="late_adjustment")
    returned_by = models.ForeignKey(
        Invoice,
        models.PROTECT,
        null=True,
        related_name="late_returned",
        help_text="The voided invoice that included the adjustment. Its replacement will include it as well.",
    )

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["subscription", "period_start", "price"],
                name="late_adjustment_open_once",
                condition=Q(state__in=OPEN_STATES),
            ),
            models.CheckConstraint(
                name="late_adjustment_invoiced_on_a_line",
                condition=Q(state="invoiced", line__isnull=False) | ~Q(state="invoiced") & Q(line=None),
            ),
            models.CheckConstraint(
                name="late_adjustment_credited_by_a_note",
                condition=Q(state="credited", credit_note__isnull=False) | ~Q(state="credited") & Q(credit_note=None),
            ),
            models.CheckConstraint(name="late_adjustment_credited_not_below_zero", condition=Q(credited__gte=0)),
            models.CheckConstraint(
                name="late_adjustment_ignored_has_reason",
                condition=~Q(state__in=["ignored", "cancelled"]) | ~Q(reason=""),
            ),
            models.CheckConstraint(
                name="late_adjustment_returned_waits_for_approval", condition=Q(returned_by=None) | Q(state="held")
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["subscription", "period_start"], name="late_adjustment_of_period"),
            models.Index(fields=["state", "-id"], name="late_adjustment_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.price.label}, {self.subscription.customer}"

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_lateadjustment_change", args=[self.pk])

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES


class MoreDue(models.TextChoices):
    NEXT_INVOICE = "next_invoice", "Charge on the next invoice"
    HOLD = "hold", "Hold for approval"


class LessDue(models.TextChoices):
    NEXT_INVOICE = "next_invoice", "Credit on the next invoice"
    CREDIT_NOTE = "credit_note", "Create a credit note for the original invoice"
    HOLD = "hold", "Hold for approval"


class LatePolicy(Stamped):
    """How late usage is billed. One row for the company."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    more_due = models.CharField(
        "if the customer owes more",
        max_length=16,
        choices=MoreDue,
        default=MoreDue.NEXT_INVOICE,
        db_default="next_invoice",
    )
    less_due = models.CharField(
        "if the customer owes less",
        max_length=16,
        choices=LessDue,
        default=LessDue.NEXT_INVOICE,
        db_default="next_invoice",
    )

    class Meta:
        verbose_name = "late usage policy"
        verbose_name_plural = "late usage policy"
        constraints: ClassVar = [models.CheckConstraint(name="late_policy_one_row", condition=Q(id=1))]

    def __str__(self) -> str:
        return "Late usage policy"


class LateLimit(models.Model):
    """The amount below which late usage isn't billed yet. Smaller differences are kept until they add up to it."""

    policy = models.ForeignKey(LatePolicy, models.CASCADE, related_name="limits", default=1)
    currency = CurrencyField(unique=True)
    amount = AmountField(help_text="Smaller differences, positive or negative, are not billed yet.")

    class Meta:
        ordering: ClassVar = ["currency"]
        constraints: ClassVar = [models.CheckConstraint(name="late_limit_above_zero", condition=Q(amount__gt=0))]

    def __str__(self) -> str:
        return format_amount(self.amount, self.currency)


auditlog.register(LateAdjustment, exclude_fields=["updated_at", "again", "line"])
auditlog.register(LatePolicy, exclude_fields=["updated_at"])
auditlog.register(LateLimit)
