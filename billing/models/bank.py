"""Imported bank statements and the money in them that arrived."""

from __future__ import annotations

from typing import Any, ClassVar

from auditlog.registry import auditlog
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from billing.models.payments import Payment
from config.db import AmountField, CurrencyField, PublicIdField


class BankFileFormat(models.TextChoices):
    CAMT053 = "camt053", "CAMT.053"
    MT940 = "mt940", "MT940"
    OFX = "ofx", "OFX"
    CSV = "csv", "CSV"


class BankImport(models.Model):
    """A file of a bank, known by its digest: the same file is imported once."""

    public_id = PublicIdField("bimp")
    file_name = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    format = models.CharField(max_length=8, choices=BankFileFormat)
    columns = models.JSONField(
        default=dict, blank=True, help_text="How the columns of a CSV file are read. Later files of this form reuse it."
    )
    heading = models.CharField(max_length=64, blank=True, db_index=True, editable=False)
    entries_added = models.PositiveIntegerField("new entries")
    entries_known = models.PositiveIntegerField("known entries", help_text="Entries that an earlier file had already.")
    entries_skipped = models.PositiveIntegerField("skipped entries", help_text="Outgoing, returned and pending ones.")
    imported_at = models.DateTimeField()
    imported_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return self.file_name


class BankEntryQuerySet(models.QuerySet["BankEntry"]):
    """Questions about many entries. An entry is open again once its payment was reversed."""

    def open(self) -> BankEntryQuerySet:
        return self.filter(OPEN)

    def accepted(self) -> BankEntryQuerySet:
        return self.filter(payment__isnull=False, payment__reversed_by=None)

    def dismissed(self) -> BankEntryQuerySet:
        return self.filter(dismissed_at__isnull=False)


OPEN = Q(dismissed_at=None) & (Q(payment=None) | Q(payment__reversed_by__isnull=False))


class BankEntry(models.Model):
    """Money that arrived on a bank account. It is accepted as one payment, or dismissed with a reason."""

    public_id = PublicIdField("bent")
    bank_import = models.ForeignKey(BankImport, models.PROTECT, related_name="entries")
    key = models.CharField(
        max_length=64, unique=True, editable=False, help_text="Recognizes the entry in another file of the account."
    )
    account = models.CharField(max_length=64, blank=True, help_text="The account that received the money.")
    booked_on = models.DateField("date")
    amount = AmountField()
    currency = CurrencyField()
    payer_name = models.CharField("payer", max_length=255, blank=True)
    payer_iban = models.CharField("payer's account", max_length=64, blank=True, db_index=True)
    text = models.TextField("remittance text", blank=True)
    reference = models.CharField("bank's reference", max_length=255, blank=True)
    payment = models.ForeignKey(Payment, models.PROTECT, null=True, blank=True, related_name="bank_entries")
    attempt = models.PositiveSmallIntegerField(default=0, editable=False, help_text="Counts acceptances.")
    dismissed_at = models.DateTimeField(null=True, blank=True)
    dismiss_reason = models.CharField("reason", max_length=255, blank=True)

    objects = BankEntryQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-booked_on", "-id"]
        verbose_name_plural = "bank entries"
        constraints: ClassVar = [
            models.CheckConstraint(name="bank_entry_is_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="bank_entry_dismissed_with_reason",
                condition=Q(dismissed_at=None, dismiss_reason="")
                | Q(dismissed_at__isnull=False) & ~Q(dismiss_reason=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.booked_on:%Y-%m-%d} {self.payer_name}".strip()

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_bank_entry", args=[self.pk])

    @property
    def live_payment(self) -> Any:
        """The payment that the entry was accepted as, unless it was reversed."""
        payment = self.payment
        return None if payment is None or getattr(payment, "reversed_by", None) else payment


auditlog.register(BankImport)
auditlog.register(BankEntry)
