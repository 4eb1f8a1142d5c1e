"""Invoices. The database rejects changes to finalized ones."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.conf import settings
from django.db import models
from django.db.models import Exists, F, Func, OuterRef, Q
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce
from django.urls import reverse

from billing.kinds import InvoiceKind
from billing.models.series import NumberSeries
from config.db import UNLESS_ERASING, AmountField, CurrencyField, PublicIdField, Stamped, keep_rows
from customers.kinds import TaxTreatment
from customers.models import Customer, Subscription
from customers.periods import local_date


class InvoiceState(models.TextChoices):
    DRAFT = "draft", "Draft"
    FINALIZED = "finalized", "Finalized"
    PAID = "paid", "Paid"
    VOID = "void", "Void"


FREEZE_INVOICE = f"""
    {UNLESS_ERASING}
    IF TG_OP = 'DELETE' THEN
        IF OLD.state = 'draft' THEN RETURN OLD; END IF;
        RAISE EXCEPTION 'invoice % is finalized and can''t be deleted: void it', OLD.number
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.state = 'draft' THEN RETURN NEW; END IF;
    IF (to_jsonb(NEW) - settling) IS DISTINCT FROM (to_jsonb(OLD) - settling) THEN
        RAISE EXCEPTION 'invoice % is finalized and never changes: correct it by a credit note', OLD.number
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.state = OLD.state AND NEW.paid_at IS DISTINCT FROM OLD.paid_at THEN
        RAISE EXCEPTION 'invoice %: when it was paid changes only together with its state', OLD.number
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.state = 'void' AND to_jsonb(NEW) - 'updated_at' IS DISTINCT FROM to_jsonb(OLD) - 'updated_at'
        OR NEW.state = 'draft' OR NEW.state = 'void' AND (NEW.amount_paid, NEW.amount_credited) <> (0, 0)
    THEN
        RAISE EXCEPTION 'invoice %: % can''t become %', OLD.number, OLD.state, NEW.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
"""


SETTLING_COLUMNS = (
    "ARRAY['state', 'amount_paid', 'amount_credited', 'paid_at', 'voided_at', 'voided_by_id', 'void_reason',"
    " 'metadata', 'updated_at']"
)


SETTLE_INVOICE = """
    IF TG_OP = 'INSERT' OR NEW.amount_paid <> (
        SELECT coalesce(sum(amount - surplus), 0) FROM billing_payment WHERE invoice_id = NEW.id
    ) OR NEW.amount_credited <> (
        SELECT coalesce(sum(total), 0) FROM billing_creditnote WHERE invoice_id = NEW.id AND state = 'finalized'
    ) THEN
        RAISE EXCEPTION 'invoice %: what is paid and credited is the sum of its payments and credit notes', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
"""


def remaining_of[Amount: (Decimal, Combinable)](due: Amount, credited: Amount, paid: Amount) -> Amount:
    """Calculate the amount left to pay, of amounts or of columns; negative if a refund is due.

    Of $100.00 due, a credit note of $40.00 and a payment of $10.00 leave $50.00.
    """
    return due - credited - paid


SETTLED = F("amount_paid") + F("amount_credited")
REMAINING = remaining_of(F("amount_due"), F("amount_credited"), F("amount_paid"))


IS_SETTLED = Q(amount_due=SETTLED) | Q(amount_due__gte=0, amount_due__lt=SETTLED)


# A final invoice with an empty period. It corrects fees that were billed beyond the subscription's end. If the end
# moves several times, there are several such invoices, each for the remaining difference.
SETTLEMENT = Q(kind="final", period_start=F("period_end"))


def local_day(column: str) -> Cast:
    """Return the day of a column's time in the invoice's time zone, as its document shows it."""
    zone = Coalesce("subscription__timezone", "customer__timezone")
    return Cast(Func(zone, F(column), function="timezone", output_field=models.DateTimeField()), models.DateField())


class InvoiceQuerySet(models.QuerySet["Invoice"]):
    """Questions about many invoices, one query each. The clock is passed in."""

    def drafts(self) -> InvoiceQuerySet:
        """Keep invoices that can still change."""
        return self.filter(state=InvoiceState.DRAFT)

    def due_for_finalizing(self, at: datetime) -> InvoiceQuerySet:
        """Keep drafts whose grace period has ended, except those on hold.

        A section of a joint invoice waits until all its sections are due, and until the subscriptions that are due at
        the same moment are billed. Those that can't be billed aren't waited for.
        """
        is_due = Q(finalize_at__lte=at, held_at=None)
        waiting = Invoice.objects.drafts().filter(joint=OuterRef("joint")).exclude(is_due)
        is_paid_by = Q(customer=OuterRef("customer"), customer__parent=None) | Q(customer__parent=OuterRef("customer"))
        unbilled = Subscription.objects.filter(
            is_paid_by,
            currency=OuterRef("currency"),
            billing__due_at__lte=OuterRef("joint__period_end"),
            billing__parked_at=None,
        )
        is_complete = Q(joint=None) | ~Exists(waiting) & ~Exists(unbilled)
        return self.drafts().filter(is_due).filter(is_complete)

    def overdue(self, at: datetime) -> InvoiceQuerySet:
        """Keep finalized invoices that are not fully paid or credited after their due date."""
        return self.to_pay().filter(due_at__lt=at)

    def to_pay(self) -> InvoiceQuerySet:
        """Keep finalized invoices with an amount left to pay, due or not."""
        return self.filter(state=InvoiceState.FINALIZED, amount_due__gt=SETTLED)

    def to_refund(self) -> InvoiceQuerySet:
        """Keep invoices of which more was paid or credited than is due, negative invoices included."""
        return self.filter(state__in=[InvoiceState.FINALIZED, InvoiceState.PAID], amount_due__lt=SETTLED)


class Invoice(Stamped):
    """What a customer owes for a period. Draft → finalized → paid, or void. Finalized rows never change."""

    public_id = PublicIdField("inv")
    number = models.CharField(max_length=64, unique=True, null=True, blank=True, editable=False)
    series = models.ForeignKey(
        NumberSeries, models.PROTECT, null=True, blank=True, editable=False, related_name="invoices"
    )
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="invoices")
    subscription = models.ForeignKey(Subscription, models.PROTECT, null=True, blank=True, related_name="invoices")
    kind = models.CharField(max_length=8, choices=InvoiceKind.choices)
    state = models.CharField("status", max_length=16, choices=InvoiceState, default=InvoiceState.DRAFT)
    currency = CurrencyField()
    period_start = models.DateTimeField(null=True, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)
    subtotal = AmountField(default=0)
    discount_total = AmountField(default=0)
    tax_total = AmountField(default=0, help_text="Exclusive tax, added to the subtotal.")
    tax_included = AmountField(default=0, db_default=0, help_text="Inclusive tax, contained in the prices.")
    tax_treatment = models.CharField(
        max_length=16, choices=TaxTreatment.choices, default=TaxTreatment.TAXABLE, db_default=TaxTreatment.TAXABLE
    )
    tax_note = models.CharField(
        max_length=255, blank=True, default="", db_default="", help_text="The reason printed on an invoice without tax."
    )
    total = AmountField(default=0)
    credits_applied = AmountField(
        default=0,
        help_text="On a draft, the expected amount. Negative if the invoice added to the customer's prepaid credit.",
    )
    amount_due = AmountField(default=0, help_text="Total less prepaid credit, before payments.")
    amount_paid = AmountField(default=0, help_text="Payments less reversals and refunds.")
    amount_credited = AmountField(default=0, db_default=0, help_text="Total of the invoice's finalized credit notes.")
    billed_to = models.JSONField(
        default=dict,
        blank=True,
        help_text="The customer's name, address and tax ID, copied when the invoice is finalized.",
    )
    seller = models.JSONField(
        default=dict, db_default={}, blank=True, help_text="The company profile, copied when the invoice is finalized."
    )
    tax_rates = models.ManyToManyField(
        "billing.TaxRate",
        blank=True,
        editable=False,
        related_name="+",
        help_text="Charged on this one-off invoice instead of the customer's taxes.",
    )
    memo = models.TextField(blank=True)
    po_number = models.CharField(
        "PO number",
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text="The number of the customer's purchase order, printed on the invoice.",
    )
    computed_at = models.DateTimeField(help_text="Events counted before this time are included.")
    finalize_at = models.DateTimeField(null=True, blank=True, help_text="When the grace period ends.")
    held_at = models.DateTimeField(null=True, blank=True, help_text="When the draft was put on hold.")
    held_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+")
    hold_reason = models.CharField(max_length=255, blank=True, default="", db_default="")
    issued_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    finalized_at = models.DateTimeField(null=True, blank=True)
    finalized_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    paid_at = models.DateTimeField(null=True, blank=True)
    voided_at = models.DateTimeField(null=True, blank=True)
    voided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+")
    void_reason = models.CharField(max_length=255, blank=True)
    replaces = models.OneToOneField("self", models.PROTECT, null=True, blank=True, related_name="replaced_by")
    joint = models.ForeignKey(
        "billing.JointInvoice",
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        editable=False,
        related_name="sections",
        help_text="The joint invoice of which this is a section.",
    )
    run = models.ForeignKey(
        "billing.BillingRun", models.PROTECT, null=True, blank=True, db_index=False, related_name="invoices"
    )
    external_reference = models.CharField(
        max_length=255,
        null=True,
        blank=True,
        unique=True,
        help_text="The creator's unique reference for a one-off invoice.",
    )
    metadata = models.JSONField(default=dict, blank=True)

    objects = InvoiceQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["subscription", "period_start", "kind"],
                name="invoice_once_per_period",
                condition=~Q(state="void") & ~SETTLEMENT,
            ),
            models.CheckConstraint(
                name="invoice_number_when_finalized",
                condition=Q(state="draft", number=None, finalized_at=None)
                | ~Q(state="draft") & Q(number__isnull=False, finalized_at__isnull=False),
            ),
            models.CheckConstraint(
                name="invoice_void_has_reason",
                condition=Q(state="void", voided_at__isnull=False) & ~Q(void_reason="")
                | ~Q(state="void") & Q(voided_at=None),
            ),
            models.CheckConstraint(
                name="invoice_subscription_unless_one_off",
                condition=Q(kind="one_off")
                | Q(subscription__isnull=False, period_start__isnull=False, period_end__isnull=False),
            ),
            models.CheckConstraint(
                name="invoice_joint_is_of_subscription", condition=Q(joint=None) | Q(subscription__isnull=False)
            ),
            models.CheckConstraint(
                name="invoice_period_in_order",
                condition=Q(period_end=None) | Q(period_end__gte=F("period_start")),
            ),
            models.CheckConstraint(
                name="invoice_adds_up",
                condition=Q(total=F("subtotal") - F("discount_total") + F("tax_total")),
            ),
            models.CheckConstraint(
                name="invoice_due_adds_up", condition=Q(amount_due=F("total") - F("credits_applied"))
            ),
            models.CheckConstraint(
                name="invoice_paid_when_settled",
                condition=Q(state__in=["draft", "void"], amount_paid=0, amount_credited=0)
                | Q(state="paid") & IS_SETTLED
                | Q(state="finalized") & ~IS_SETTLED,
            ),
            models.CheckConstraint(
                name="invoice_credited_within_total",
                condition=Q(amount_credited=0) | Q(amount_credited__gt=0, amount_credited__lte=F("total")),
            ),
            models.CheckConstraint(
                name="invoice_held_while_draft",
                condition=Q(held_at=None, hold_reason="")
                | Q(state="draft", held_at__isnull=False) & ~Q(hold_reason=""),
            ),
            models.CheckConstraint(name="invoice_currency_code", condition=Q(currency__regex="^[A-Z]{3}$")),
        ]
        indexes: ClassVar = [
            models.Index(fields=["customer", "-id"], name="invoice_of_customer"),
            models.Index(fields=["state", "-id"], name="invoice_by_state"),
            models.Index(fields=["finalize_at"], name="invoice_to_finalize", condition=Q(state="draft")),
            models.Index(fields=["due_at"], name="invoice_to_be_paid", condition=Q(state="finalized")),
            models.Index(
                fields=["customer"],
                name="invoice_to_give_back",
                condition=Q(state__in=["finalized", "paid"], amount_due__lt=SETTLED),
            ),
            models.Index(fields=["run"], name="invoice_of_run", condition=Q(run__isnull=False)),
            models.Index(fields=["joint"], name="invoice_of_joint", condition=Q(joint__isnull=False)),
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Trigger(
                name="freeze_invoice",
                operation=pgtrigger.Update | pgtrigger.Delete,
                when=pgtrigger.Before,
                declare=[("settling", f"text[] := {SETTLING_COLUMNS}")],
                func=FREEZE_INVOICE,
            ),
            pgtrigger.Trigger(
                name="invoice_begins_unsettled",
                operation=pgtrigger.Insert,
                when=pgtrigger.Before,
                condition=pgtrigger.Condition("NEW.amount_paid <> 0 OR NEW.amount_credited <> 0"),
                func=SETTLE_INVOICE,
            ),
            pgtrigger.Trigger(
                name="settle_invoice",
                operation=pgtrigger.Update,
                when=pgtrigger.Before,
                condition=pgtrigger.Condition(
                    "NEW.amount_paid <> OLD.amount_paid OR NEW.amount_credited <> OLD.amount_credited"
                ),
                func=SETTLE_INVOICE,
            ),
        ]

    def __str__(self) -> str:
        return self.number or f"Draft {self.public_id[-6:]}"

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_invoice_change", args=[self.pk])

    @property
    def amount_remaining(self) -> Decimal:
        """The amount left to pay, in the invoice's currency; negative if a refund is due."""
        return remaining_of(self.amount_due, self.amount_credited, self.amount_paid)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to pay. A negative invoice is settled once it has been refunded."""
        return self.amount_remaining <= 0 if self.amount_due >= 0 else self.amount_remaining == 0

    @property
    def is_draft(self) -> bool:
        return self.state == InvoiceState.DRAFT

    @property
    def timezone(self) -> str:
        """The time zone of the invoice's days: the subscription's, or of a one-off invoice the customer's."""
        return self.subscription.timezone if self.subscription is not None else self.customer.timezone

    @property
    def usage_customer_id(self) -> int:
        """The customer whose usage it charges: the subscription's, who isn't the customer if a parent pays."""
        return self.customer_id if self.subscription is None else self.subscription.customer_id

    @property
    def issued_on(self) -> date | None:
        """The issue date in the invoice's time zone, as on its document."""
        return self._day_of(self.issued_at)

    @property
    def due_on(self) -> date | None:
        """The due date in the invoice's time zone."""
        return self._day_of(self.due_at)

    @property
    def paid_on(self) -> date | None:
        """The day of full payment in the invoice's time zone."""
        return self._day_of(self.paid_at)

    def _day_of(self, at: datetime | None) -> date | None:
        return None if at is None else local_date(at, self.timezone)


auditlog.register(Invoice, exclude_fields=["updated_at"])
