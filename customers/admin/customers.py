"""Customers, with their subscriptions and aliases."""

from collections.abc import Callable
from typing import Any
from zoneinfo import available_timezones

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from import_export.admin import ImportMixin
from import_export.formats.base_formats import XLSX
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, FieldTextFilter
from unfold.contrib.import_export.forms import ImportForm
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelect2Widget

from config.office.archiving import Archiving, activate_action, archive_action
from config.office.base import OfficeAdmin
from config.office.dialogs import staff
from config.office.filters import RangeDateTimeFilter
from config.office.links import page_of
from config.office.permissions import ReadOnlyInline
from config.office.wording import badge, local_day
from customers.accounts import activate_customer, archive_customer, save_customer
from customers.admin.importing import EXPORTED, AnyCsv, CustomerRows
from customers.admin.subscriptions.status import STATUS_COLORS, status_of
from customers.models import Customer, CustomerAlias, CustomerState, Subscription, SubscriptionStatus

STATE_COLORS = {CustomerState.ACTIVE: "success", CustomerState.ARCHIVED: "warning"}
LAST = ("archive", "activate")
Overview = Callable[[HttpRequest, Customer], dict[str, Any]]
OVERVIEW: list[Overview] = []  # what a customer's page shows; a higher app provides it
MENU = [*LAST]  # the menu of a customer's page; higher apps add to it
type Notice = Callable[[HttpRequest, Customer], tuple[str, str] | None]
NOTICES: list[Notice] = []  # texts with links above the page; higher apps add to them


class SubscribedFilter(DropdownFilter):
    """Filter by whether customers have a running subscription. Those without aren't billed."""

    title = "Subscribed"
    parameter_name = "subscribed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Has a running subscription"), ("no", "No running subscription")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Customer]) -> QuerySet[Customer]:
        if self.value() not in ("yes", "no"):
            return queryset
        running = Exists(Subscription.objects.live(timezone.now()).filter(customer=OuterRef("pk")))
        return queryset.filter(running if self.value() == "yes" else ~running)


class SubscriptionsInline(ReadOnlyInline):
    """Current and past subscriptions of the customer, newest first."""

    model = Subscription
    fields = ("show_subscription", "show_plan", "show_status", "interval", "currency", "show_start", "show_end")
    readonly_fields = fields
    ordering = ("-started_at", "-pk")
    tab = True
    per_page = 20

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        rows: QuerySet[Subscription] = (
            super().get_queryset(request).with_current(timezone.now()).select_related("customer")
        )
        return rows

    @admin.display(description="Subscription")
    def show_subscription(self, subscription: Subscription) -> str:
        return format_html('<a class="text-link" href="{}">{}</a>', page_of(subscription), subscription.public_id)

    @admin.display(description="Plan")
    def show_plan(self, subscription: Subscription) -> str:
        plan = getattr(subscription, "current_plan", None)
        return f"{plan} v{getattr(subscription, 'current_version', '')}" if plan else "–"

    @admin.display(description="From")
    def show_start(self, subscription: Subscription) -> str:
        return local_day(subscription.started_at, subscription.timezone)

    @admin.display(description="Until")
    def show_end(self, subscription: Subscription) -> str:
        return local_day(subscription.ended_at, subscription.timezone)

    @admin.display(description="Status")
    def show_status(self, subscription: Subscription) -> str:
        status, text = status_of(subscription)
        return badge(text, STATUS_COLORS[SubscriptionStatus(status)])


class AliasesInline(ReadOnlyInline):
    """Wrong external customer IDs that count for this customer."""

    model = CustomerAlias
    fields = ("alias", "reason", "created_by", "created_at")
    readonly_fields = fields
    tab = True
    verbose_name_plural = "aliases"

    def get_queryset(self, request: HttpRequest) -> QuerySet[CustomerAlias]:
        rows: QuerySet[CustomerAlias] = super().get_queryset(request).select_related("created_by", "customer")
        return rows


@admin.register(Customer)
class CustomerAdmin(Archiving, ImportMixin, OfficeAdmin):
    """A customer, known to client systems by an external customer ID."""

    list_display = ("show_name", "show_running", "billing_currency", "timezone", "show_state", "show_created")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        SubscribedFilter,
        ("currency", FieldTextFilter),
        ("timezone", FieldTextFilter),
        ("tax_treatment", ChoicesDropdownFilter),
        ("einvoice_format", ChoicesDropdownFilter),
        ("created_at", RangeDateTimeFilter),
    )
    search_fields = ("name", "external_id", "email", "public_id", "aliases__alias")
    search_help_text = "Name, external customer ID, email, alias or ID"
    ordering = ("name", "pk")
    autocomplete_fields = ("parent",)
    inlines: tuple[Any, ...] = (SubscriptionsInline, AliasesInline)
    fieldsets = (
        (None, {"fields": ("name", "external_id", "email", "contact")}),
        ("Emails", {"fields": (("email_to", "email_cc"), "receives_email")}),
        (
            "Billing",
            {
                "fields": (
                    ("currency", "timezone"),
                    ("net_days", "joins_invoices"),
                    ("tax_id", "tax_treatment"),
                    "tax_note",
                    "parent",
                )
            },
        ),
        (
            "Address",
            {
                "fields": (
                    ("address_line1", "address_line2"),
                    ("address_postal_code", "address_city"),
                    ("address_state", "address_country"),
                )
            },
        ),
        (
            "Electronic invoices",
            {"fields": (("einvoice_format", "untaxed_category"), ("buyer_reference", "peppol_id"))},
        ),
        ("Status", {"fields": (("state", "archived_at"), ("public_id", "created_at"), "metadata")}),
    )
    add_fieldsets = fieldsets[:5]
    readonly_fields = ("state", "archived_at", "public_id", "created_at")
    import_export_change_list_template = "admin/office/import_list.html"
    import_form_class = ImportForm
    export_columns = EXPORTED
    empty_icon = "groups"
    empty_title = "No customers yet"
    empty_text = (
        "Add a customer with the external customer ID that your events contain, import a list, or use the API. "
        "Events that arrived earlier are kept, and you can replay them once the customer exists."
    )
    change_form_before_template = "admin/customers/customer/notices.html"
    # As separate buttons, the actions would leave no room for the customer's name.
    change_form_template = "admin/customers/customer/change_form.html"
    actions_detail: tuple[Any, ...] = ("edit", "subscribe", {"title": "More", "icon": "more_horiz", "items": MENU})

    # --- The list ------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Customer]:
        # A subquery per row shown: a join with grouping would count for all customers to show fifty.
        running = Subscription.objects.live(timezone.now()).filter(customer=OuterRef("pk")).order_by()
        count = running.values("customer").annotate(number=Count("pk")).values("number")
        rows: QuerySet[Customer] = super().get_queryset(request).annotate(running_count=Coalesce(Subquery(count), 0))
        return rows

    @display(description="Customer", header=True, ordering="name")
    def show_name(self, customer: Customer) -> list[str]:
        return [customer.name, customer.external_id]

    @display(description="Subscriptions", ordering="running_count")
    def show_running(self, customer: Customer) -> Any:
        count = getattr(customer, "running_count", 0)
        if count or customer.state == CustomerState.ARCHIVED:
            return f"{count} running" if count else "–"
        return format_html('<span class="text-orange-700 dark:text-orange-400">{}</span>', "none (not billed)")

    @display(description="Status", ordering="state", label=STATE_COLORS)
    def show_state(self, customer: Customer) -> tuple[str, str]:
        return customer.state, customer.get_state_display()

    @display(description="Created", ordering="created_at")
    def show_created(self, customer: Customer) -> str:
        return local_day(customer.created_at)

    # --- The page ------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        form = self.admin_site.admin_view(self.edit_view)
        edit: URLPattern = path("<path:object_id>/edit/", form, name="customers_customer_edit_form")
        return [edit, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the customer's overview. Its form has an address of its own, which also answers here if posted."""
        context = extra_context or {}
        if request.method == "GET" and OVERVIEW:
            customer = self.get_object(request, object_id)
            if customer is not None and self.has_view_permission(request, customer):
                context = {**context, "title": customer.name, **OVERVIEW[0](request, customer)}
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    def edit_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show or save the customer's form."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        response: HttpResponse = super().change_view(request, object_id, "", {"show_history": False})
        return response

    def response_change(self, request: HttpRequest, obj: Customer) -> HttpResponse:
        """Open the customer's overview after saving."""
        messages.success(request, f"{obj} was saved.")
        return HttpResponseRedirect(page_of(obj))

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """Leave the tabs to the form: the overview shows what they list."""
        match = request.resolver_match
        is_overview = request.method == "GET" and match is not None and match.url_name == "customers_customer_change"
        return [] if is_overview and OVERVIEW else super().get_inlines(request, obj)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "timezone":
            kwargs["widget"] = UnfoldAdminSelect2Widget(
                choices=[(name, name) for name in sorted(available_timezones())]
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Customer | None = None) -> tuple[str, ...]:
        return ("external_id", *self.readonly_fields) if obj else self.readonly_fields

    def parts_of(self, obj: Customer) -> list[CustomerAlias]:
        return list(obj.aliases.select_related("customer"))

    def facts_of(self, request: HttpRequest, obj: Customer) -> dict[str, Any]:
        return {"notices": [notice for report in NOTICES if (notice := report(request, obj)) is not None]}

    def save_model(self, request: HttpRequest, obj: Customer, form: Any, change: bool) -> None:
        save_customer(obj, by=staff(request))

    def has_delete_permission(self, request: HttpRequest, obj: Customer | None = None) -> bool:
        """Forbid deletion: invoices and events refer to customers. They can be archived."""
        return False

    def has_import_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_add_permission(request) and self.has_change_permission(request))

    def get_import_formats(self) -> list[type]:
        return [AnyCsv, XLSX]

    def get_import_resource_classes(self, request: HttpRequest) -> list[type]:
        return [CustomerRows]

    def get_import_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"by": staff(request)}

    # --- Actions -------------------------------------------------------------------------------------

    def has_edit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(self.has_change_permission(request)) and not self._is_erased(object_id)

    def has_activate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return super().has_activate_permission(request, object_id) and not self._is_erased(object_id)

    def _is_erased(self, object_id: Any) -> bool:
        return Customer.objects.filter(pk=object_id).exclude(erased_at=None).exists()

    @action(description="Edit", icon="edit", permissions=["edit"])
    def edit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:customers_customer_edit_form", args=[object_id]))

    def has_subscribe_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("customers.add_subscription") and self.is_in_state(object_id, CustomerState.ACTIVE)

    @action(description="Subscribe to a plan", icon="add", variant=ActionVariant.PRIMARY, permissions=["subscribe"])
    def subscribe(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:customers_subscription_add", query={"customer": object_id}))

    archive_with = staticmethod(archive_customer)
    activate_with = staticmethod(activate_customer)
    archive = archive_action(
        "customer",
        "Events are no longer counted and wait as problems. No new subscriptions. Invoices stay.",
    )
    activate = activate_action("customer", "Events are counted again. You can replay the events that waited.")
