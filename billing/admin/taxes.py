"""Taxes in the admin: the rates, and who pays them."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import BooleanRadioFilter, DropdownFilter, FieldTextFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from billing.adjustments.tax_rates import set_archived
from billing.admin.shared import OptionalTab
from billing.models import TaxAssignment, TaxRate
from config.numbers import number
from config.office.base import OfficeAdmin
from config.office.dialogs import OptionalReasonForm, ReasonForm, carry_out, staff
from config.office.links import page_of
from config.office.wording import trim_zeros
from customers.admin import add_customer_tab, add_subscription_tab


class ArchivedFilter(DropdownFilter):
    """Rates that are in use, and those that were archived."""

    title = "State"
    parameter_name = "archived"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "Active"), ("yes", "Archived")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(archived_at__isnull=self.value() == "no") if self.value() in ("yes", "no") else queryset


class AssignmentsInline(TabularInline):
    """Who pays the tax. A row that names nobody is the company's default."""

    model = TaxAssignment
    fields = ("customer", "subscription", "currency", "position")
    autocomplete_fields = ("customer", "subscription")
    extra = 0
    show_title = False
    tab = True
    per_page = 20
    verbose_name = "payer"
    verbose_name_plural = "who pays it"

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name in ("customer", "subscription"):
            field.help_text = "Leave both empty for everybody without own taxes: the company's default."
        return field

    def get_queryset(self, request: HttpRequest) -> QuerySet[TaxAssignment]:
        rows: QuerySet[TaxAssignment] = super().get_queryset(request)
        return rows.select_related("rate", "customer", "subscription__customer")


class OwnTaxesInline(TabularInline):
    """The taxes that a customer or a subscription pays in place of the company's."""

    model = TaxAssignment
    formset = OptionalTab
    fields = ("rate", "currency", "position")
    autocomplete_fields = ("rate",)
    extra = 0
    show_title = False
    tab = True
    verbose_name = "own tax"
    verbose_name_plural = "own taxes"

    def get_queryset(self, request: HttpRequest) -> QuerySet[TaxAssignment]:
        rows: QuerySet[TaxAssignment] = super().get_queryset(request)
        return rows.select_related("rate", "customer", "subscription__customer")


add_customer_tab(OwnTaxesInline)
add_subscription_tab(OwnTaxesInline)


@admin.register(TaxRate)
class TaxRateAdmin(OfficeAdmin):
    """A named tax. A new percentage is a new rate: invoices keep what they were taxed by."""

    list_display = ("show_name", "show_percentage", "show_kind", "country", "show_payers", "show_state")
    list_filter = (ArchivedFilter, ("is_inclusive", BooleanRadioFilter), ("country", FieldTextFilter))
    search_fields = ("code", "name", "public_id")
    search_help_text = "Code, name or id"
    ordering = ("code",)
    inlines = (AssignmentsInline,)
    readonly_preprocess_fields = {"percentage": trim_zeros}
    fieldsets = (
        (None, {"fields": (("code", "name"), ("percentage", "is_inclusive"), "country", "description")}),
        ("Where it stands", {"fields": (("archived_at", "public_id", "created_at"),)}),
    )
    add_fieldsets = fieldsets[:1]
    readonly_fields = ("archived_at", "public_id", "created_at")
    export_columns = (
        ("Id", "public_id"),
        ("Code", "code"),
        ("Name", "name"),
        ("Percentage", "percentage"),
        ("Inclusive", "is_inclusive"),
        ("Country", "country"),
        ("Assigned", "payers"),
        ("Archived at (UTC)", "archived_at"),
    )
    empty_icon = "assured_workload"
    empty_title = "No taxes: invoices are without"
    empty_text = (
        "Add a rate, then say who pays it: everybody, customers of a country, one customer, or one subscription. "
        "Upcoming invoices show it at once."
    )
    actions_detail = ("archive", "activate")

    def get_fieldsets(self, request: HttpRequest, obj: TaxRate | None = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: TaxRate | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "code", "percentage", "is_inclusive") if obj else self.readonly_fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[TaxRate]:
        rows: QuerySet[TaxRate] = super().get_queryset(request).annotate(payers=Count("assignments"))
        return rows

    def parts_of(self, obj: TaxRate) -> list[TaxAssignment]:
        return list(obj.assignments.select_related("rate", "customer", "subscription__customer")[:200])

    def has_delete_permission(self, request: HttpRequest, obj: TaxRate | None = None) -> bool:
        """Never: invoices name them. One that isn't in force any more is archived."""
        return False

    @display(description="Tax", header=True, ordering="name")
    def show_name(self, rate: TaxRate) -> list[str]:
        return [rate.name, rate.code]

    @display(description="Percentage", ordering="percentage")
    def show_percentage(self, rate: TaxRate) -> str:
        return f"{number(rate.percentage)}%"

    @display(description="Prices", ordering="is_inclusive", label={"in": "info", "on": "primary"})
    def show_kind(self, rate: TaxRate) -> tuple[str, str]:
        return ("in", "Contain it") if rate.is_inclusive else ("on", "It comes on top")

    @display(description="Assigned", ordering="payers")
    def show_payers(self, rate: TaxRate) -> str:
        return f"{rate.payers}×" if rate.payers else "to nobody"  # type: ignore[attr-defined]  # annotated

    @display(description="State", label={"active": "success", "archived": "warning"})
    def show_state(self, rate: TaxRate) -> tuple[str, str]:
        return ("active", "Active") if rate.archived_at is None else ("archived", "Archived")

    def has_archive_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, archived=False)

    def has_activate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, archived=True)

    def _may(self, request: HttpRequest, object_id: Any, *, archived: bool) -> bool:
        rows = TaxRate.objects.filter(pk=object_id, archived_at__isnull=not archived)
        return bool(self.has_change_permission(request)) and rows.exists()

    @action(
        description="Archive",
        icon="archive",
        variant=ActionVariant.DANGER,
        permissions=["archive"],
        dialog={
            "title": "Archive this tax?",
            "description": "Nobody pays it any more, whoever it is assigned to. Invoices that have it stay; drafts "
            "lose it when they are worked out anew.",
            "form_class": ReasonForm,
            "form_submit_text": "Archive",
        },
    )
    def archive(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        return self._set(request, form.cleaned_data["reason"], object_id, archive=True)

    @action(
        description="Activate",
        icon="unarchive",
        variant=ActionVariant.SUCCESS,
        permissions=["activate"],
        dialog={
            "title": "Activate this tax?",
            "description": "Those it is assigned to pay it again.",
            "form_class": OptionalReasonForm,
            "form_submit_text": "Activate",
        },
    )
    def activate(self, request: HttpRequest, form: OptionalReasonForm, object_id: str) -> HttpResponse:
        return self._set(request, form.cleaned_data["reason"], object_id, archive=False)

    def _set(self, request: HttpRequest, reason: str, object_id: str, *, archive: bool) -> HttpResponse:
        rate = get_object_or_404(TaxRate, pk=object_id)
        at = timezone.now() if archive else None
        return carry_out(
            request,
            lambda: set_archived(rate, at=at, by=staff(request), reason=reason),
            done=f"{rate.code} is {'archived' if archive else 'active'}.",
            then=page_of(rate),
        )
