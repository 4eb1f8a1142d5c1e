"""Imports customers from a CSV or Excel file: creates new customers and updates those with a known external ID."""

from typing import Any

from django.contrib.auth.models import User
from import_export.resources import ModelResource

from customers.accounts import save_customer
from customers.models import Customer


class CustomerRows(ModelResource):
    """One customer per row, validated as on the customer's page. One invalid row rejects the file."""

    class Meta:
        model = Customer
        import_id_fields = ("external_id",)
        fields = (
            *("external_id", "name", "email", "contact", "currency", "timezone", "net_days", "tax_id", "tax_treatment"),
            *("address_line1", "address_line2", "address_postal_code", "address_city", "address_state"),
            "address_country",
        )
        skip_unchanged = True
        report_skipped = True
        clean_model_instances = True
        use_transactions = True

    def __init__(self, by: User | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.by = by

    def do_instance_save(self, instance: Customer, is_create: bool) -> None:
        save_customer(instance, by=self.by, reason="Imported from a file")
