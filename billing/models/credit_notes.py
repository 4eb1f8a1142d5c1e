"""Credit notes and their lines. The database rejects changes to finalized ones."""

from datetime import date
from decimal import Decimal
from typing import ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from billing.models.invoices import Invoice
from billing.models.lines import InvoiceLine
from billing.models.series import NumberSeries
from config.db import UNLESS_ERASING, AmountField, CurrencyField, PublicIdField, Stamped, keep_rows
from customers.models import Customer
from customers.periods import local_date


class CreditNoteState(models.TextChoices):
    DRAFT = "draft", "Draft"
    FINALIZED = "finalized", "Finalized"
    VOID = "void", "Void"


class CreditReason(models.TextChoices):
    BILLING_ERROR = "billing_error", "Billing error"
    SERVICE_ISSUE = "service_issue", "Service issue"
    ORDER_CHANGE = "order_change", "Order change"
    DUPLICATE = "duplicate", "Duplicate"
    UNSATISFACTORY = "unsatisfactory", "Unsatisfactory"
    SUBSCRIPTION_CANCELLATION = "subscription_cancellation", "Subscription canceled"
    FRAUDULENT = "fraudulent", "Fraudulent"


class RefundTo(models.TextChoices):
    OUTSIDE = "outside", "Refund"
    WALLET = "wallet", "Prepaid credit"


FREEZE_CREDIT_NOTE = f"""
    {UNLESS_ERASING}
    IF TG_OP = 'DELETE' THEN
        IF OLD.state = 'draft' THEN RETURN OLD; END IF;
        RAISE EXCEPTION 'credit note % can''t be deleted: void it', OLD.public_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.state = 'draft' THEN
        IF NEW.state = 'finalized' AND NOT EXISTS (
            SELECT FROM billing_creditnoteline WHERE credit_note_id = NEW.id
            HAVING sum(amount) = NEW.subtotal AND sum(tax_amount) = NEW.tax_total
        ) THEN
            RAISE EXCEPTION 'the lines of credit note % don''t add up to its totals', NEW.number
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF (to_jsonb(NEW) - settling) IS DISTINCT FROM (to_jsonb(OLD) - settling) OR NEW.state = 'draft'
        OR OLD.state = 'void' AND to_jsonb(NEW) - 'updated_at' IS DISTINCT FROM to_jsonb(OLD) - 'updated_at'
    THEN
        RAISE EXCEPTION 'credit note % is % and never changes', OLD.public_id, OLD.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
"""  # noqa: S608  no value is inserted
SETTLING_COLUMNS = "ARRAY['state', 'voided_at', 'voided_by_id', 'void_reason', 'metadata', 'updated_at']"
CREDITED = """
    IF (SELECT amount_credited FROM billing_invoice WHERE id = NEW.invoice_id) IS DISTINCT FROM (
        SELECT coalesce(sum(total), 0) FROM billing_creditnote
        WHERE invoice_id = NEW.invoice_id AND state = 'finalized'
    ) THEN
        RAISE EXCEPTION 'the credit notes of invoice % don''t add up to its amount credited', NEW.invoice_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
"""
# The invoice row is locked so that two credit notes written at the same time can't credit the same amount.
FREEZE_CREDIT_NOTE_LINE = f"""
    {UNLESS_ERASING}
    IF EXISTS (
        SELECT FROM billing_creditnote WHERE id IN (OLD.credit_note_id, NEW.credit_note_id) AND state <> 'draft'
    ) THEN
        RAISE EXCEPTION 'the lines of a credit note never change once it is finalized or void'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    SELECT invoice_id INTO note_invoice FROM billing_creditnote WHERE id = NEW.credit_note_id;
    PERFORM FROM billing_invoice WHERE id = note_invoice FOR UPDATE;
    SELECT amount - discount_amount INTO charged FROM billing_invoiceline
    WHERE id = NEW.invoice_line_id AND invoice_id = note_invoice AND kind NOT IN ('discount', 'tax');
    SELECT coalesce(sum(line.amount), 0) INTO credited
    FROM billing_creditnoteline line JOIN billing_creditnote note ON note.id = line.credit_note_id
    WHERE line.invoice_line_id = NEW.invoice_line_id AND line.id <> NEW.id AND note.state <> 'void';
    IF charged IS NULL OR credited + NEW.amount > charged THEN
        RAISE EXCEPTION 'a line can be credited up to its amount, by credit notes of its own invoice'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
"""  # noqa: S608  no value is inserted


class CreditNote(Stamped):
    """A credit on a finalized invoice. Draft → finalized → void; a draft can be voided as well.

    Finalizing reduces the amount due of an unpaid invoice. Any amount beyond that is `refund_due`: it is owed to the
    customer, and refunded by a negative payment that references the credit note.
    """

    public_id = PublicIdField("cn")
    number = models.CharField(max_length=64, unique=True, null=True, blank=True, editable=False)
    series = models.ForeignKey(
        NumberSeries, models.PROTECT, null=True, blank=True, db_index=False, related_name="credit_notes"
    )
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="credit_notes")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="credit_notes")
    state = models.CharField("status", max_length=16, choices=CreditNoteState, default=CreditNoteState.DRAFT)
    currency = CurrencyField()
    reason = models.CharField(max_length=32, choices=CreditReason)
    memo = models.TextField("explanation", blank=True, help_text="Shown to the customer.")
    subtotal = AmountField(default=0)
    tax_total = AmountField(default=0)
    tax_included = AmountField(default=0, help_text="Tax included in the amounts.")
    total = AmountField(default=0, help_text="The amount credited to the customer, as a positive number.")
    refund_due = AmountField(
        default=0, help_text="The part to be refunded, calculated when the credit note is finalized."
    )
    refund_to = models.CharField(max_length=8, choices=RefundTo, default=RefundTo.OUTSIDE)
    billed_to = models.JSONField(default=dict, blank=True, help_text="Copied from the invoice.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    finalized_at = models.DateTimeField(null=True, blank=True)
    finalized_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    voided_at = models.DateTimeField(null=True, blank=True)
    voided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+")
    void_reason = models.CharField(max_length=255, blank=True)
    idempotency_key = models.CharField(max_length=255, null=True, blank=True, unique=True, editable=False)
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="credit_note_number_when_finalized",
                condition=Q(state="draft", number=None, finalized_at=None)
                | Q(state="finalized", number__isnull=False, finalized_at__isnull=False)
                | Q(state="void"),
            ),
            models.CheckConstraint(
                name="credit_note_void_has_reason",
                condition=Q(state="void", voided_at__isnull=False) & ~Q(void_reason="")
                | ~Q(state="void") & Q(voided_at=None),
            ),
            models.CheckConstraint(
                name="credit_note_adds_up",
                condition=Q(total=F("subtotal") + F("tax_total"), total__gt=0, tax_total__gte=0),
            ),
            models.CheckConstraint(
                name="credit_note_refund_within", condition=Q(refund_due__gte=0, refund_due__lte=F("total"))
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["customer", "-id"], name="credit_note_of_customer"),
            models.Index(fields=["state", "-id"], name="credit_note_by_state"),
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Trigger(
                name="freeze_credit_note",
                operation=pgtrigger.Update | pgtrigger.Delete,
                when=pgtrigger.Before,
                declare=[("settling", f"text[] := {SETTLING_COLUMNS}")],
                func=FREEZE_CREDIT_NOTE,
            ),
            pgtrigger.Trigger(
                name="credit_note_is_counted",
                operation=pgtrigger.Insert | pgtrigger.Update,
                when=pgtrigger.After,
                timing=pgtrigger.Deferred,
                func=CREDITED,
            ),
        ]

    def __str__(self) -> str:
        return self.number or f"Draft credit note {self.public_id[-6:]}"

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_creditnote_change", args=[self.pk])

    @property
    def is_draft(self) -> bool:
        return self.state == CreditNoteState.DRAFT

    @property
    def issued_on(self) -> date | None:
        """The issue date in the invoice's time zone, as on the document."""
        return None if self.finalized_at is None else local_date(self.finalized_at, self.invoice.timezone)


class CreditNoteLine(models.Model):
    """The credited part of one invoice line, with its tax."""

    public_id = PublicIdField("cnline")
    credit_note = models.ForeignKey(CreditNote, models.CASCADE, related_name="lines")
    invoice_line = models.ForeignKey(InvoiceLine, models.PROTECT, related_name="credit_note_lines")
    position = models.PositiveIntegerField()
    description = models.CharField(max_length=512)
    amount = AmountField(help_text="Credited from the line's discounted amount, before exclusive tax.")
    tax_amount = AmountField(default=0, help_text="Exclusive tax on the amount, as charged on the invoice.")
    tax_included = AmountField(default=0, help_text="Tax included in the amount.")

    class Meta:
        ordering: ClassVar = ["credit_note", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["credit_note", "position"], name="credit_note_line_position_once"),
            models.UniqueConstraint(fields=["credit_note", "invoice_line"], name="credit_note_line_once"),
            models.CheckConstraint(name="credit_note_line_above_zero", condition=Q(amount__gt=0, tax_amount__gte=0)),
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Trigger(
                name="freeze_credit_note_line",
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                when=pgtrigger.Before,
                declare=[("note_invoice", "bigint"), ("charged", "numeric"), ("credited", "numeric")],
                func=FREEZE_CREDIT_NOTE_LINE,
            ),
        ]

    def __str__(self) -> str:
        return self.description

    @property
    def total(self) -> Decimal:
        """The amount plus exclusive tax."""
        return self.amount + self.tax_amount


auditlog.register(CreditNote, exclude_fields=["updated_at"])
