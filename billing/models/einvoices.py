"""Electronic invoices: the data of a finalized invoice or credit note, as its customer's software reads it."""

from __future__ import annotations

from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from billing.models.credit_notes import CreditNote
from billing.models.invoices import Invoice
from config.db import keep_rows, protect_unless_erasing
from customers.kinds import EInvoiceFormat


class EInvoiceQuerySet(models.QuerySet["EInvoice"]):
    def present(self) -> EInvoiceQuerySet:
        """Keep those whose XML wasn't erased with the customer's personal data."""
        return self.exclude(xml="")


class EInvoice(models.Model):
    """The XML of one invoice or credit note. It is written when the document is finalized, and never changes."""

    invoice = models.OneToOneField(Invoice, models.PROTECT, null=True, related_name="einvoice")
    credit_note = models.OneToOneField(CreditNote, models.PROTECT, null=True, related_name="einvoice")
    format = models.CharField(max_length=16, choices=EInvoiceFormat.choices)
    xml = models.TextField("XML")
    sha256 = models.CharField("SHA-256 of the XML", max_length=64)
    created_at = models.DateTimeField(db_default=Now())

    objects = EInvoiceQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = "electronic invoice"
        constraints: ClassVar = [
            models.CheckConstraint(
                name="einvoice_of_one_document",
                condition=Q(invoice__isnull=False, credit_note=None) | Q(invoice=None, credit_note__isnull=False),
            ),
        ]
        triggers: ClassVar = [
            keep_rows(),
            protect_unless_erasing("keep_einvoice", pgtrigger.Update | pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return self.file_name

    @property
    def document(self) -> Invoice | CreditNote:
        """The invoice or credit note."""
        document = self.invoice or self.credit_note
        assert document is not None  # noqa: S101  the constraint
        return document

    @property
    def file_name(self) -> str:
        """The name of the XML file, from the document's number."""
        return f"{self.document.number}.xml"
