"""Subscriptions, with their status and history."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DropdownFilter,
    FieldTextFilter,
)
from unfold.decorators import display

from catalog.models import Plan
from config.audit import recorded
from config.office.base import OfficeAdmin
from config.office.dialogs import staff
from config.office.filters import RangeDateTimeFilter
from config.office.links import page_of
from config.office.wording import local_day
from customers import subscriptions
from customers.admin.subscriptions.actions import SubscriptionActions
from customers.admin.subscriptions.status import STATUS_COLORS, status_of
from customers.admin.subscriptions.subscribe_form import SubscribeForm
from customers.admin.subscriptions.timeline import addons_of, timeline_of, upcoming_periods
from customers.models import Subscription, SubscriptionStatus
from customers.signals import invoice_start, list_warnings


class StatusFilter(DropdownFilter):
    """Filter by the current status."""

    title = "Status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(label)) for value, label in SubscriptionStatus.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> QuerySet[Subscription]:
        return queryset.filter(Q(status=self.value())) if self.value() else queryset


class PlanFilter(DropdownFilter):
    """The plan that the subscription is on now."""

    title = "Plan"
    parameter_name = "plan"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in Plan.objects.order_by("name").values_list("name", flat=True).distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> QuerySet[Subscription]:
        return queryset.filter(Q(current_plan=self.value())) if self.value() else queryset


MENU = ["agree_phases", "add_addon", "remove_addon", "agree_commitment", "end_commitment", "withdraw"]


@admin.register(Subscription)
class SubscriptionAdmin(SubscriptionActions, OfficeAdmin):
    """A customer's subscription to a plan: its dates, billing interval and changes."""

    list_display = ("show_customer", "show_plan", "show_status", "show_interval", "currency", "show_start", "show_end")
    list_select_related = ("customer",)
    list_filter = (
        StatusFilter,
        PlanFilter,
        ("customer", AutocompleteSelectFilter),
        ("interval", ChoicesDropdownFilter),
        ("alignment", ChoicesDropdownFilter),
        ("currency", FieldTextFilter),
        ("started_at", RangeDateTimeFilter),
        ("ended_at", RangeDateTimeFilter),
    )
    search_fields = ("public_id", "key", "customer__name", "customer__external_id")
    search_help_text = "Customer, external customer ID, lookup key or ID"
    ordering = ("-started_at", "-pk")
    autocomplete_fields = ("customer",)
    inlines: tuple[Any, ...] = ()
    readonly_fields = (
        *("customer", "public_id", "show_plan", "status_text", "show_interval", "currency", "timezone"),
        *("show_start", "show_end", "anchor_day", "cancelled_at", "created_by", "created_at"),
    )
    export_columns = (
        ("ID", "public_id"),
        ("Customer", "customer__name"),
        ("External customer ID", "customer__external_id"),
        ("Plan", "current_plan"),
        ("Version", "current_version"),
        ("Status", lambda subscription: SubscriptionStatus(subscription.status).label),
        ("Billing interval", "interval"),
        ("Interval count", "interval_count"),
        ("Currency", "currency"),
        ("Time zone", "timezone"),
        ("Started at (UTC)", "started_at"),
        ("Ends at (UTC)", "ended_at"),
        ("Lookup key", "key"),
    )
    empty_icon = "autorenew"
    empty_title = "No subscriptions yet"
    empty_text = "Subscribe a customer to a plan to bill fees and usage. You need a customer and a plan with prices."
    change_form_before_template = "admin/customers/subscription/standing.html"
    # As separate buttons, all actions would leave no room for the page's title.
    actions_detail: tuple[Any, ...] = (
        *("change_plan", "agree_terms", "pause", "resume", "cancel"),
        {"title": "More", "icon": "more_horiz", "items": MENU},
    )

    # --- The list ------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        rows: QuerySet[Subscription] = (
            super().get_queryset(request).with_current(timezone.now()).select_related("customer", "created_by")
        )
        return rows

    @display(description="Customer", header=True, ordering="customer__name")
    def show_customer(self, subscription: Subscription) -> list[str]:
        return [subscription.customer.name, subscription.key or subscription.public_id]

    @display(description="Plan", ordering="current_plan")
    def show_plan(self, subscription: Subscription) -> str:
        plan = getattr(subscription, "current_plan", None)
        return f"{plan} v{getattr(subscription, 'current_version', '')}" if plan else "–"

    @display(description="Status", ordering="status", label=STATUS_COLORS)
    def show_status(self, subscription: Subscription) -> tuple[str, str]:
        return status_of(subscription)

    @display(description="Billed", ordering="interval")
    def show_interval(self, subscription: Subscription) -> str:
        interval = subscription.get_interval_display()
        if subscription.interval_count > 1:
            interval = f"{interval} × {subscription.interval_count}"
        return f"{interval}, {subscription.get_alignment_display().partition(':')[0].lower()}"

    @display(description="From", ordering="started_at")
    def show_start(self, subscription: Subscription) -> str:
        return local_day(subscription.started_at, subscription.timezone)

    @display(description="Until", ordering="ended_at")
    def show_end(self, subscription: Subscription) -> str:
        return local_day(subscription.ended_at, subscription.timezone)

    # --- The page ------------------------------------------------------------------------------------

    @admin.display(description="Status")
    def status_text(self, subscription: Subscription) -> str:
        return status_of(subscription)[1]

    @admin.display(description="Periods count from")
    def anchor_day(self, subscription: Subscription) -> str:
        return local_day(subscription.anchor, subscription.timezone)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        form = super().get_form(request, obj, change, **kwargs | {"form": SubscribeForm})
        form.staff = staff(request)
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Subscription | None = None) -> list[Any]:
        if obj is None:
            return [
                (None, {"fields": ["customer", "plan"]}),
                ("Terms", {"fields": [("currency", "interval", "interval_count"), "alignment", "prorate", "net_days"]}),
                ("Dates", {"fields": [("starts_on", "ends_on"), ("anchor_on", "trial_days")]}),
                ("Records", {"fields": ["key", "reason"]}),
            ]
        return [
            (None, {"fields": ["customer", "show_plan", "status_text", "show_interval", "currency"]}),
            ("Dates", {"fields": [("show_start", "show_end"), ("anchor_day", "timezone"), "cancelled_at"]}),
            ("Terms", {"fields": ["prorate", "net_days", "key", ("public_id", "created_by", "created_at")]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Subscription | None = None) -> tuple[str, ...]:
        return self.readonly_fields if obj else ()

    def get_autocomplete_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return self.autocomplete_fields

    def facts_of(self, request: HttpRequest, obj: Subscription) -> dict[str, Any]:
        now = timezone.now()
        return {
            "subscription": obj,
            "timeline": timeline_of(obj, now),
            "periods": upcoming_periods(obj, now),
            "addons": addons_of(obj, now),
            "upcoming_url": _upcoming_url(obj),
        }

    def parts_of(self, obj: Subscription) -> list[Model]:
        return list(subscriptions.get_phase_history(obj))

    def save_model(self, request: HttpRequest, obj: Subscription, form: Any, change: bool) -> None:
        if change:
            with recorded(by=staff(request)):
                super().save_model(request, obj, form, change)
            return
        subscription = form.subscribe(now=timezone.now())
        for field in Subscription._meta.concrete_fields:
            setattr(obj, field.attname, getattr(subscription, field.attname))
        obj._state.adding = False
        request.__dict__["_new_subscription"] = subscription

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Create the subscription, and after the commit have the fees due at its start invoiced."""
        response: HttpResponse = super().add_view(request, form_url, extra_context)
        if subscription := request.__dict__.get("_new_subscription"):
            invoice_start(subscription, now=timezone.now())
        return response

    def response_add(
        self, request: HttpRequest, obj: Subscription, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Open the page of the new subscription, which shows its status and upcoming invoice."""
        if {"_addanother", "_popup"} & set(request.POST):
            response: HttpResponse = super().response_add(request, obj, post_url_continue)
            return response
        messages.success(
            request,
            f"{obj.customer} is subscribed. Fees that are due at the start are invoiced at once;"
            " for other charges see Upcoming invoice.",
        )
        for warning in list_warnings(obj, now=timezone.now()):
            messages.warning(request, warning["message"])
        return HttpResponseRedirect(page_of(obj))

    def has_delete_permission(self, request: HttpRequest, obj: Subscription | None = None) -> bool:
        """Forbid deletion: subscriptions document what was billed. They can be canceled."""
        return False


def _upcoming_url(subscription: Subscription) -> str:
    """Return the address of the upcoming invoice, or an empty string if no app has the page."""
    try:
        return reverse("admin:billing_subscription_upcoming", args=[subscription.pk])
    except NoReverseMatch:
        return ""
