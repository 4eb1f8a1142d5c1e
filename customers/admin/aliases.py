"""Aliases of external customer IDs."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from config.office.base import OfficeAdmin
from config.office.dialogs import staff
from customers.accounts import map_external_id
from customers.models import Customer, CustomerAlias


@admin.register(CustomerAlias)
class CustomerAliasAdmin(OfficeAdmin):
    """Wrong external customer IDs that clients send, and the customers they stand for."""

    list_display = ("alias", "customer", "reason", "created_by", "created_at")
    list_select_related = ("customer", "created_by")
    list_filter = (("customer", AutocompleteSelectFilter), ("created_by", AutocompleteSelectFilter))
    search_fields = ("alias", "customer__name", "customer__external_id", "reason")
    autocomplete_fields = ("customer",)
    fields = ("alias", "customer", "reason", "created_by", "created_at")
    readonly_fields = ("created_by", "created_at")
    export_columns = (
        ("External customer ID as sent", "alias"),
        ("Customer", "customer__name"),
        ("External customer ID", "customer__external_id"),
        ("Reason", "reason"),
        ("Created by", "created_by__username"),
        ("Created at (UTC)", "created_at"),
    )
    empty_icon = "alt_route"
    empty_title = "No customer aliases"
    empty_text = (
        "If a client sends a wrong external customer ID and can't be fixed soon, map the ID to the customer here."
    )

    def get_fields(self, request: HttpRequest, obj: CustomerAlias | None = None) -> tuple[str, ...]:
        return self.fields if obj else tuple(name for name in self.fields if name not in self.readonly_fields)

    def get_fieldsets(self, request: HttpRequest, obj: CustomerAlias | None = None) -> list[Any]:
        description = (
            "New events with this ID, and events waiting as problems, count for the customer."
            " The ledger keeps the ID that was sent."
        )
        return [(None, {"fields": self.get_fields(request, obj), "description": description})]

    def get_readonly_fields(self, request: HttpRequest, obj: CustomerAlias | None = None) -> tuple[str, ...]:
        return ("alias", *self.readonly_fields) if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.clean_alias = _clean_alias
        return form

    def save_model(self, request: HttpRequest, obj: CustomerAlias, form: Any, change: bool) -> None:
        alias = map_external_id(obj.alias, obj.customer, by=staff(request), reason=obj.reason)
        obj.pk, obj.created_by = alias.pk, alias.created_by

    def has_delete_permission(self, request: HttpRequest, obj: CustomerAlias | None = None) -> bool:
        """Forbid deletion: events were counted with the alias. It can be changed to another customer."""
        return False


def _clean_alias(form: Any) -> str:
    alias: str = form.cleaned_data["alias"]
    if owner := Customer.objects.filter(external_id=alias).first():
        raise ValidationError(
            f"This is the external customer ID of {owner}. Mapping it would take events from that customer."
        )
    return alias
