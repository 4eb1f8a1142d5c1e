"""Payments, what they are applied to, reversals and refunds. Rows are written once and never change."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.urls import reverse

from billing.models.credit_notes import CreditNote
from billing.models.invoices import Invoice
from config.db import UNLESS_ERASING, AmountField, CurrencyField, PublicIdField, keep_rows
from customers.models import Customer


class PaymentKind(models.TextChoices):
    PAYMENT = "payment", "Payment"
    APPLIED = "applied", "Applied to an invoice"
    ADJUSTED = "adjusted", "Adjustment"
    REVERSAL = "reversal", "Reversal"
    REFUND = "refund", "Refund"


class SurplusUse(models.TextChoices):
    """What becomes of the part of a payment that is more than the amount due."""

    CREDIT = "credit", "Add to the customer's prepaid credit"
    UNAPPLIED = "unapplied", "Keep unapplied"


class PaymentMethod(models.TextChoices):
    BANK_TRANSFER = "bank_transfer", "Bank transfer"
    CARD = "card", "Card"
    DIRECT_DEBIT = "direct_debit", "Direct debit"
    CHEQUE = "cheque", "Cheque"
    CASH = "cash", "Cash"
    WALLET = "wallet", "Prepaid credit"
    WRITE_OFF = "write_off", "Write-off"
    BANK_CHARGE = "bank_charge", "Bank charge"
    OTHER = "other", "Other"


# They settle a difference between an invoice and the money that arrived. No money moves.
ADJUSTMENTS = (PaymentMethod.WRITE_OFF, PaymentMethod.BANK_CHARGE)


# The previous release writes payments without a customer.
FILL_CUSTOMER = """    IF NEW.customer_id IS NULL THEN
        NEW.customer_id := (SELECT customer_id FROM billing_invoice WHERE id = NEW.invoice_id);
    END IF;
"""
FREEZE_PAYMENT = f"""
    {UNLESS_ERASING}
    IF TG_OP <> 'INSERT' THEN
        RAISE EXCEPTION 'payments never change: reverse the payment, and record it again'
            USING ERRCODE = 'restrict_violation';
    END IF;
{FILL_CUSTOMER}    IF NEW.invoice_id IS NULL THEN
        IF NEW.amount <> NEW.surplus THEN
            RAISE EXCEPTION 'a payment without an invoice pays none' USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NOT EXISTS (
        SELECT FROM billing_invoice
        WHERE id = NEW.invoice_id AND currency = NEW.currency AND customer_id = NEW.customer_id
            AND (state IN ('finalized', 'paid') OR state = 'void' AND NEW.amount = NEW.surplus)
    ) THEN
        RAISE EXCEPTION 'a payment needs a finalized invoice of its currency and customer'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
"""
COUNTED = """
    IF (SELECT amount_paid FROM billing_invoice WHERE id = NEW.invoice_id)
        IS DISTINCT FROM (SELECT sum(amount - surplus) FROM billing_payment WHERE invoice_id = NEW.invoice_id)
    THEN
        RAISE EXCEPTION 'the payments of invoice % don''t add up to its amount paid', NEW.invoice_id
            USING ERRCODE = 'check_violation';
    END IF;
    IF (SELECT sum(surplus) FROM billing_payment WHERE id = NEW.source_id OR source_id = NEW.source_id) < 0 THEN
        RAISE EXCEPTION 'more than the surplus of payment % is used', NEW.source_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
"""


class PaymentQuerySet(models.QuerySet["Payment"]):
    """Questions about many payments, one query each."""

    def with_unapplied(self) -> models.QuerySet[Any]:
        """Add `unapplied`: the part of a payment that is neither applied to an invoice, refunded, nor credit."""
        uses = self.model.objects.filter(source=models.OuterRef("pk")).order_by().values("source")
        used = models.Subquery(uses.annotate(used=models.Sum("surplus")).values("used"))
        unapplied = models.Case(
            models.When(kind=PaymentKind.PAYMENT, then=models.F("surplus") + Coalesce(used, models.Value(Decimal(0)))),
            default=models.Value(Decimal(0)),
            output_field=AmountField(),
        )
        return self.annotate(unapplied=unapplied)

    def with_money_left(self) -> models.QuerySet[Any]:
        """Keep payments with an unapplied part, and add it as `unapplied`."""
        return self.with_unapplied().filter(kind=PaymentKind.PAYMENT, surplus__gt=0, unapplied__gt=0)


class Payment(models.Model):
    """Money received from a customer (positive), or a reversal or refund (negative) with its reason.

    `amount` is the money that moved, `applied` the part that pays the invoice; the rest is `surplus`. A payment of
    $120.00 for an invoice of $100.00 has a surplus of $20.00. A row that uses a surplus names the payment as its
    `source` and has a negative surplus: applied to another invoice of $15.00, its amount is 0 and its surplus -$15.00.

    A payment for several invoices, or for none yet, has no `invoice`: all of it is surplus, which is then applied. An
    adjustment settles a difference without money: of $100.00 due, $98.00 arrived and $2.00 were the bank's charge.
    """

    public_id = PublicIdField("pay")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="payments")
    invoice = models.ForeignKey(Invoice, models.PROTECT, null=True, blank=True, related_name="payments")
    kind = models.CharField(max_length=8, choices=PaymentKind, default=PaymentKind.PAYMENT)
    amount = AmountField(help_text="In the invoice's currency; negative for reversals and refunds.")
    surplus = AmountField(
        default=0,
        db_default=0,
        editable=False,
        help_text="The part that is more than the amount due; negative if it is taken from the surplus of the source.",
    )
    source = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="uses",
        help_text="The payment whose surplus is used.",
    )
    currency = CurrencyField()
    received_on = models.DateField("date", help_text="The date of the transfer.")
    method = models.CharField(max_length=16, choices=PaymentMethod, default=PaymentMethod.BANK_TRANSFER)
    reference = models.CharField(
        max_length=255,
        blank=True,
        help_text="The bank's or payment provider's reference. Each can be used once per invoice, and once per "
        "customer without an invoice.",
    )
    attempt = models.PositiveSmallIntegerField(
        default=1, editable=False, help_text="Counts payments with the same reference: 2 after the first was reversed."
    )
    account = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text="The account of the general ledger that an adjustment is posted to.",
    )
    note = models.TextField(blank=True)
    reason = models.CharField(
        max_length=255, blank=True, help_text="Why the payment was reversed, refunded or adjusted."
    )
    reverses = models.OneToOneField("self", models.PROTECT, null=True, blank=True, related_name="reversed_by")
    credit_note = models.ForeignKey(
        CreditNote, models.PROTECT, null=True, blank=True, related_name="refunds", help_text="The refunded credit note."
    )
    idempotency_key = models.CharField(max_length=255, null=True, blank=True, unique=True, editable=False)
    recorded_at = models.DateTimeField()
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )

    objects = PaymentQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["invoice", "reference", "attempt"],
                name="payment_once_by_reference",
                condition=Q(kind="payment") & ~Q(reference=""),
            ),
            models.UniqueConstraint(
                fields=["customer", "reference", "attempt"],
                name="receipt_once_by_reference",
                condition=Q(kind="payment", invoice=None) & ~Q(reference=""),
            ),
            models.CheckConstraint(
                name="payment_sign_fits_kind",
                condition=Q(kind="payment", amount__gt=0)
                | Q(kind="applied", amount=0, invoice__isnull=False)
                | Q(kind="adjusted", amount__gt=0, invoice__isnull=False)
                | Q(kind="reversal") & ~Q(amount=0, surplus=0)
                | Q(kind="refund", amount__lt=0),
            ),
            models.CheckConstraint(
                name="payment_surplus_fits_kind",
                condition=Q(kind="payment", surplus__gte=0, surplus__lte=models.F("amount"), source=None)
                | Q(kind="applied", surplus__lt=0, source__isnull=False)
                | Q(kind="adjusted", surplus=0)
                | Q(kind="refund", surplus=0, source=None)
                | Q(kind="refund", surplus=models.F("amount"), source__isnull=False)
                | Q(kind="reversal", surplus=0, source=None)
                | Q(kind="reversal", source__isnull=False) & ~Q(surplus=0),
            ),
            models.CheckConstraint(
                name="payment_back_has_reason", condition=Q(kind__in=["payment", "applied"]) | ~Q(reason="")
            ),
            models.CheckConstraint(
                name="payment_adjustment_by_method",
                condition=Q(kind="adjusted", method__in=["write_off", "bank_charge"])
                | Q(kind="reversal")
                | ~Q(kind="adjusted") & ~Q(method__in=["write_off", "bank_charge"]),
            ),
            models.CheckConstraint(
                name="payment_reversal_names_what",
                condition=Q(kind="reversal", reverses__isnull=False) | ~Q(kind="reversal") & Q(reverses=None),
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["received_on"], name="payment_by_day"),
            models.Index(fields=["reference"], name="payment_by_reference"),
            models.Index(fields=["invoice"], name="payment_with_surplus", condition=Q(surplus__gt=0)),
            models.Index(fields=["customer", "-id"], name="payment_of_customer"),
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Trigger(
                name="freeze_payment",
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                when=pgtrigger.Before,
                func=FREEZE_PAYMENT,
            ),
            pgtrigger.Trigger(
                name="payment_is_counted",
                operation=pgtrigger.Insert,
                when=pgtrigger.After,
                timing=pgtrigger.Deferred,
                func=COUNTED,
            ),
        ]

    def __str__(self) -> str:
        return self.reference or f"{self.get_kind_display()} {self.public_id[-6:]}"

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_payment_change", args=[self.pk])

    @property
    def applied(self) -> Decimal:
        """The amount that the row adds to the invoice's paid amount."""
        return self.amount - self.surplus


auditlog.register(Payment)
