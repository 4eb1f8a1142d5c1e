"""Emails to customers with their recipients and results, and the texts that staff edit."""

from __future__ import annotations

from typing import Any, ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse

from billing.models.credit_notes import CreditNote
from billing.models.invoices import Invoice
from billing.models.payments import Payment
from config.db import CurrencyField, PublicIdField, Stamped, keep_rows, protect_unless_erasing
from customers.models import Customer

LONGEST_SUBJECT = 200
LONGEST_TEXT = 10_000
LONGEST_DETAIL = 500


class EmailKind(models.TextChoices):
    """What an email is about. Each kind has a template."""

    INVOICE = "invoice", "Invoice"
    CREDIT_NOTE = "credit_note", "Credit note"
    RECEIPT = "receipt", "Receipt"
    STATEMENT = "statement", "Statement"
    DUE_SOON = "due_soon", "Due date reminder"
    REMINDER = "reminder", "Payment reminder"
    FINAL_NOTICE = "final_notice", "Final notice"
    TEST = "test", "Test"


class EmailState(models.TextChoices):
    """How far an email is. Only a waiting email is sent; no other is ever sent automatically."""

    PENDING = "pending", "Waiting"
    SENDING = "sending", "Being sent"
    SENT = "sent", "Sent"
    SKIPPED = "skipped", "Not sent"
    FAILED = "failed", "Failed"
    UNCONFIRMED = "unconfirmed", "Unconfirmed"
    BOUNCED = "bounced", "Bounced"


REMINDER_KINDS = (EmailKind.DUE_SOON, EmailKind.REMINDER, EmailKind.FINAL_NOTICE)
ABOUT_INVOICES = (EmailKind.INVOICE, *REMINDER_KINDS)
PROBLEM_STATES = (EmailState.FAILED, EmailState.UNCONFIRMED, EmailState.BOUNCED)
# One customer's document can't be sent to another customer, whatever the code does.
OF_ITS_CUSTOMER = """
    IF NEW.customer_id IS DISTINCT FROM COALESCE(
        (SELECT customer_id FROM billing_invoice WHERE id = NEW.invoice_id),
        (SELECT customer_id FROM billing_creditnote WHERE id = NEW.credit_note_id),
        (SELECT customer_id FROM billing_payment WHERE id = NEW.payment_id),
        NEW.customer_id
    ) THEN
        RAISE EXCEPTION 'an email has a document of its own customer' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
"""
FROZEN = ("kind", "customer", "invoice", "credit_note", "payment", "to", "cc", "subject", "text", "html")


class EmailQuerySet(models.QuerySet["Email"]):
    def problems(self) -> EmailQuerySet:
        """Keep emails that failed, bounced or are unconfirmed, and that no one has handled or sent again."""
        return self.filter(state__in=PROBLEM_STATES, handled_at=None)


class Email(models.Model):
    """One email as it is sent: recipients, subject and text never change. The PDF is made when it is sent.

    Sending it again is another row, so that what was sent stays visible.
    """

    public_id = PublicIdField("email")
    kind = models.CharField(max_length=16, choices=EmailKind)
    customer = models.ForeignKey(Customer, models.PROTECT, null=True, related_name="emails", db_index=False)
    invoice = models.ForeignKey(Invoice, models.PROTECT, null=True, related_name="emails")
    credit_note = models.ForeignKey(CreditNote, models.PROTECT, null=True, related_name="emails")
    payment = models.ForeignKey(Payment, models.PROTECT, null=True, related_name="emails")
    first_day = models.DateField("from", null=True, help_text="Of a statement, also of one attached to a reminder.")
    last_day = models.DateField("until", null=True)
    currency = CurrencyField(blank=True, help_text="Of a statement in one currency.")
    is_automatic = models.BooleanField("automatic", default=False)
    resends = models.ForeignKey("self", models.PROTECT, null=True, related_name="sent_again", verbose_name="sent again")
    to = ArrayField(models.EmailField(), default=list, db_column="to_addresses")
    cc = ArrayField(models.EmailField(), default=list, db_column="cc_addresses")
    subject = models.CharField(max_length=LONGEST_SUBJECT, db_column="subject_line")
    text = models.TextField()
    html = models.TextField()
    state = models.CharField("status", max_length=16, choices=EmailState, default=EmailState.PENDING)
    tries = models.PositiveSmallIntegerField("attempts", default=0)
    next_try_at = models.DateTimeField("next attempt", null=True)
    began_at = models.DateTimeField(null=True, help_text="When it was handed to the mail server last.")
    sent_at = models.DateTimeField(null=True)
    last_error = models.CharField("problem", max_length=LONGEST_DETAIL, blank=True)
    provider_id = models.CharField(max_length=255, blank=True, help_text="The provider's ID of the message.")
    attachment_name = models.CharField("attachment", max_length=255, blank=True)
    attachment_size = models.PositiveIntegerField(null=True)
    attachment_sha256 = models.CharField("SHA-256 of the attachment", max_length=64, blank=True)
    handled_at = models.DateTimeField(null=True, help_text="When someone took care of the problem.")
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    objects = EmailQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="email_pending_has_next",
                condition=Q(state="pending", next_try_at__isnull=False) | ~Q(state="pending") & Q(next_try_at=None),
            ),
            models.CheckConstraint(
                name="email_has_its_document",
                condition=Q(kind__in=ABOUT_INVOICES, invoice__isnull=False, credit_note=None, payment=None)
                | Q(kind="credit_note", credit_note__isnull=False, invoice=None, payment=None)
                | Q(kind="receipt", payment__isnull=False, invoice=None, credit_note=None)
                | Q(kind__in=["statement", "test"], invoice=None, credit_note=None, payment=None),
            ),
            models.CheckConstraint(
                name="email_statement_has_days",
                condition=Q(kind__in=["statement", *REMINDER_KINDS], first_day__isnull=False, last_day__isnull=False)
                | ~Q(kind="statement") & Q(first_day=None, last_day=None, currency=""),
            ),
            models.CheckConstraint(
                name="email_has_its_customer",
                condition=Q(kind="test", customer=None) | ~Q(kind="test") & Q(customer__isnull=False),
            ),
            models.UniqueConstraint(
                name="email_automatic_once",
                fields=["invoice", "credit_note", "payment"],
                nulls_distinct=False,
                condition=Q(is_automatic=True) & ~Q(kind__in=REMINDER_KINDS),  # those are once per step
            ),
            models.UniqueConstraint(
                name="email_waiting_once",
                fields=["kind", "customer", "invoice", "credit_note", "payment", "first_day", "last_day", "currency"],
                nulls_distinct=False,
                condition=Q(state="pending") & ~Q(kind="test"),
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_try_at"], name="email_due", condition=Q(state="pending")),
            models.Index(fields=["began_at"], name="email_by_start"),
            models.Index(fields=["customer", "-id"], name="email_of_customer"),
            models.Index(fields=["state", "-id"], name="email_by_state"),
            models.Index(fields=["provider_id"], name="email_by_provider_id", condition=~Q(provider_id="")),
            models.Index(fields=["id"], name="email_problems", condition=Q(state__in=PROBLEM_STATES, handled_at=None)),
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Trigger(
                name="email_of_its_customer", operation=pgtrigger.Insert, when=pgtrigger.Before, func=OF_ITS_CUSTOMER
            ),
            protect_unless_erasing("keep_email", pgtrigger.Update, pgtrigger.AnyChange(*FROZEN)),
        ]

    def __str__(self) -> str:
        return self.subject

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_email_change", args=[self.pk])

    @property
    def document(self) -> Any:
        """The invoice, credit note or payment that the email is about."""
        return self.invoice or self.credit_note or self.payment


class EmailEventKind(models.TextChoices):
    """What can happen to an email. A provider reports delivery, delays, bounces and complaints."""

    SENT = "sent", "Accepted by the mail server"
    POSTPONED = "postponed", "Not accepted yet"
    FAILED = "failed", "Not accepted"
    UNCONFIRMED = "unconfirmed", "Unconfirmed"
    SKIPPED = "skipped", "Not sent"
    DELIVERED = "delivered", "Delivered"
    DELAYED = "delayed", "Delayed"
    BOUNCED = "bounced", "Bounced"
    COMPLAINED = "complained", "Marked as spam"


class EmailEvent(models.Model):
    """Something that happened to an email, at an attempt or as the provider reported it."""

    email = models.ForeignKey(Email, models.CASCADE, related_name="events")
    kind = models.CharField("event", max_length=16, choices=EmailEventKind)
    at = models.DateTimeField()
    recipient = models.CharField(max_length=254, blank=True)
    detail = models.CharField(max_length=LONGEST_DETAIL, blank=True)
    provider_key = models.CharField(max_length=255, null=True, unique=True, editable=False)

    class Meta:
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return self.get_kind_display()


class EmailTemplate(Stamped):
    """The text of a kind of email, if staff changed it. A kind without a row has the text of the product."""

    id = models.PositiveSmallIntegerField(primary_key=True, editable=False)
    kind = models.CharField(max_length=16, choices=EmailKind, unique=True, editable=False)
    subject = models.CharField(max_length=LONGEST_SUBJECT)
    text = models.TextField(max_length=LONGEST_TEXT)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.get_kind_display()

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_emailtemplate_change", args=[self.pk])


auditlog.register(Email, include_fields=["kind", "to", "cc", "subject", "handled_at"])
auditlog.register(EmailTemplate, exclude_fields=["updated_at"])
