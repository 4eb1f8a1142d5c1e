"""Tax rates in the admin, and their assignments."""

from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import BooleanRadioFilter, DropdownFilter, FieldTextFilter
from unfold.decorators import display

from billing.adjustments.tax_rates import set_archived
from billing.admin.shared import OptionalTab
from billing.models import TaxAssignment, TaxRate
from config.numbers import number
from config.office.archiving import ArchivingByTime, activate_action, archive_action
from config.office.base import OfficeAdmin
from config.office.wording import trim_zeros
from customers.admin import add_customer_tab, add_subscription_tab


class ArchivedFilter(DropdownFilter):
    """Filter by whether a tax or a discount is archived."""

    title = "Status"
    parameter_name = "archived"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "Active"), ("yes", "Archived")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(archived_at__isnull=self.value() == "no") if self.value() in ("yes", "no") else queryset


class AssignmentsInline(TabularInline):
    """The customers and subscriptions the tax applies to. A row with neither makes it a company default."""

    model = TaxAssignment
    fields = ("customer", "subscription", "currency", "position")
    autocomplete_fields = ("customer", "subscription")
    extra = 0
    show_title = False
    tab = True
    per_page = 20
    verbose_name = "assignment"
    verbose_name_plural = "assigned to"

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name in ("customer", "subscription"):
            field.help_text = "Leave both blank for a company default: customers without their own taxes pay it."
        return field

    def get_queryset(self, request: HttpRequest) -> QuerySet[TaxAssignment]:
        assignments: QuerySet[TaxAssignment] = super().get_queryset(request)
        return assignments.select_related("rate", "customer", "subscription__customer")


class OwnTaxesInline(TabularInline):
    """The taxes that a customer or a subscription pays instead of the company defaults."""

    model = TaxAssignment
    formset = OptionalTab
    fields = ("rate", "currency", "position")
    autocomplete_fields = ("rate",)
    extra = 0
    show_title = False
    tab = True
    verbose_name = "tax"
    verbose_name_plural = "taxes"

    def get_queryset(self, request: HttpRequest) -> QuerySet[TaxAssignment]:
        assignments: QuerySet[TaxAssignment] = super().get_queryset(request)
        return assignments.select_related("rate", "customer", "subscription__customer")


add_customer_tab(OwnTaxesInline)
add_subscription_tab(OwnTaxesInline)


@admin.register(TaxRate)
class TaxRateAdmin(ArchivingByTime, OfficeAdmin):
    """A tax rate. Its percentage can't be changed: add another rate, so that existing invoices keep theirs."""

    list_display = ("show_name", "show_percentage", "show_kind", "country", "show_assigned", "show_state")
    list_filter = (ArchivedFilter, ("is_inclusive", BooleanRadioFilter), ("country", FieldTextFilter))
    search_fields = ("code", "name", "public_id")
    search_help_text = "Code, name or ID"
    ordering = ("code",)
    inlines = (AssignmentsInline,)
    readonly_preprocess_fields = {"percentage": trim_zeros}
    fieldsets = (
        (None, {"fields": (("code", "name"), ("percentage", "is_inclusive"), "country", "description")}),
        ("Status", {"fields": (("archived_at", "public_id", "created_at"),)}),
    )
    add_fieldsets = fieldsets[:1]
    readonly_fields = ("archived_at", "public_id", "created_at")
    export_columns = (
        ("ID", "public_id"),
        ("Code", "code"),
        ("Name", "name"),
        ("Percentage", "percentage"),
        ("Inclusive", "is_inclusive"),
        ("Country", "country"),
        ("Assigned", "assigned"),
        ("Archived at (UTC)", "archived_at"),
    )
    empty_icon = "assured_workload"
    empty_title = "No taxes yet"
    empty_text = (
        "Invoices are issued without tax. Add a rate and assign it to all customers, customers in a country, one "
        "customer or one subscription. Upcoming invoices will include it immediately."
    )
    actions_detail = ("archive", "activate")

    def get_fieldsets(self, request: HttpRequest, obj: TaxRate | None = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: TaxRate | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "code", "percentage", "is_inclusive") if obj else self.readonly_fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[TaxRate]:
        rates: QuerySet[TaxRate] = super().get_queryset(request).annotate(assigned=Count("assignments"))
        return rates

    def parts_of(self, obj: TaxRate) -> list[TaxAssignment]:
        return list(obj.assignments.select_related("rate", "customer", "subscription__customer")[:200])

    def has_delete_permission(self, request: HttpRequest, obj: TaxRate | None = None) -> bool:
        """Tax rates can't be deleted, because invoices refer to them. They can be archived."""
        return False

    @display(description="Tax", header=True, ordering="name")
    def show_name(self, rate: TaxRate) -> list[str]:
        return [rate.name, rate.code]

    @display(description="Percentage", ordering="percentage")
    def show_percentage(self, rate: TaxRate) -> str:
        return f"{number(rate.percentage)}%"

    @display(description="Type", ordering="is_inclusive", label={"inclusive": "info", "exclusive": "primary"})
    def show_kind(self, rate: TaxRate) -> tuple[str, str]:
        return ("inclusive", "Included in prices") if rate.is_inclusive else ("exclusive", "Added to prices")

    @display(description="Assigned", ordering="assigned")
    def show_assigned(self, rate: TaxRate) -> str:
        return f"{rate.assigned}×" if rate.assigned else "No"  # type: ignore[attr-defined]  # annotated

    @display(description="Status", label={"active": "success", "archived": "warning"})
    def show_state(self, rate: TaxRate) -> tuple[str, str]:
        return ("active", "Active") if rate.archived_at is None else ("archived", "Archived")

    @staticmethod
    def archive_with(rate: TaxRate, *, now: datetime, by: User | None, reason: str) -> TaxRate:
        return set_archived(rate, at=now, by=by, reason=reason)

    activate_with = staticmethod(partial(set_archived, at=None))
    archive = archive_action(
        "tax",
        "This tax will no longer be charged to anyone. Existing invoices keep it; drafts lose it when they are "
        "recalculated.",
    )
    activate = activate_action("tax", "The tax is charged again to the customers and subscriptions it is assigned to.")
