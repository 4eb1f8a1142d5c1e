"""Electronic invoices in answers."""

from typing import Any

from rest_framework import serializers

from billing.einvoices.problems import Place
from customers.kinds import EInvoiceFormat


class EInvoiceOut(serializers.Serializer[Any]):
    """The electronic invoice that was issued with a document. Its XML never changes."""

    format = serializers.ChoiceField(EInvoiceFormat.choices)
    file_name = serializers.CharField()
    sha256 = serializers.CharField(help_text="SHA-256 of the XML.")


class EInvoiceProblemOut(serializers.Serializer[Any]):
    """Something that an electronic invoice lacks, and where to enter it."""

    place = serializers.ChoiceField([place.value for place in Place])
    message = serializers.CharField(source="text")


class EInvoiceCheckOut(serializers.Serializer[Any]):
    """What an invoice lacks to be issued electronically. A draft with problems can't be finalized."""

    format = serializers.ChoiceField(EInvoiceFormat.choices, allow_null=True, help_text="Null for PDF only.")
    problems = EInvoiceProblemOut(many=True)
