"""Customers in answers."""

from typing import ClassVar

from rest_framework import serializers

from catalog.api.serializers.fields import StatusField
from config.api.contract import ContractRecord
from config.api.fields import (
    MetadataField,
)


class CustomerOut(ContractRecord):
    """A customer: a person or company that you bill."""

    nulls: ClassVar[tuple[str, ...]] = ("contact_persons", "integrations", "parent_customer")

    id = serializers.CharField(source="public_id")
    external_id = serializers.CharField()
    name = serializers.CharField()
    email = serializers.CharField()
    email_to = serializers.ListField(child=serializers.CharField())
    email_cc = serializers.ListField(child=serializers.CharField())
    receives_email = serializers.BooleanField()
    contact = serializers.CharField()
    billing_currency = serializers.CharField()
    timezone = serializers.CharField()
    tax_treatment = serializers.ChoiceField(["taxable", "exempt", "reverse_charge"])
    tax_note = serializers.CharField()
    address_line1 = serializers.CharField()
    address_line2 = serializers.CharField()
    address_city = serializers.CharField()
    address_state = serializers.CharField()
    address_postal_code = serializers.CharField()
    address_country = serializers.CharField()
    tax_id = serializers.CharField()
    einvoice_format = serializers.CharField(help_text="factur_x, xrechnung or peppol; empty for PDF only.")
    buyer_reference = serializers.CharField()
    peppol_id = serializers.CharField()
    untaxed_category = serializers.CharField()
    parent_customer_id = serializers.CharField(source="parent.public_id", default=None, allow_null=True)
    parent_customer_external_id = serializers.CharField(source="parent.external_id", default=None, allow_null=True)
    joins_invoices = serializers.BooleanField()
    metadata = MetadataField()
    status = StatusField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
