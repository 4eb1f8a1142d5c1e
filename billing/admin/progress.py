"""Billing progress in the admin: each subscription's, and the parked subscriptions to bill again."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from billing.admin.findings import describe_retry
from billing.models import BillingState
from billing.runs.billing_run import bill_subscriptions
from config.office.base import DeclaredLookups
from config.office.dialogs import action, open_page
from config.office.filters import RangeDateTimeFilter
from config.office.permissions import WrittenBySystem


class ParkedFilter(admin.SimpleListFilter):
    """Filter subscriptions by whether they can be billed."""

    title = "parked"
    parameter_name = "parked"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("yes", "Can't be billed"), ("no", "Can be billed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[BillingState]) -> QuerySet[BillingState]:
        if self.value() in ("yes", "no"):
            return queryset.filter(parked_at__isnull=self.value() == "no")
        return queryset


@admin.register(BillingState)
class BillingStateAdmin(DeclaredLookups, WrittenBySystem, ModelAdmin):
    """How far each subscription is billed, when it is next due, and why it is parked. Created by the system."""

    list_display = ("customer", "subscription_link", "status", "reason", "billed", "due", "tries")
    list_select_related = ("subscription__customer",)
    list_filter = (ParkedFilter, ("due_at", RangeDateTimeFilter))
    list_filter_submit = True
    list_per_page = 50
    search_fields = ("subscription__public_id", "subscription__customer__name", "subscription__customer__external_id")
    search_help_text = "Customer's name or external customer ID, or subscription ID"
    ordering = ("-parked_at", "due_at")
    actions = ("retry_selected",)
    actions_detail = ("retry_one",)
    fields = ("subscription", "due_at", "billed_until", "parked_at", "parked_reason", "attempts", "retry_at")
    readonly_fields = fields

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Hide the save buttons: staff can only bill the subscription again."""
        hidden = dict.fromkeys(("show_history", "show_save", "show_save_and_continue"), False)
        response: HttpResponse = super().change_view(request, object_id, form_url, hidden | (extra_context or {}))
        return response

    @display(description="Customer", ordering="subscription__customer__name", header=True)
    def customer(self, state: BillingState) -> list[str]:
        return [state.subscription.customer.name, state.subscription.customer.external_id]

    @display(description="Subscription")
    def subscription_link(self, state: BillingState) -> str:
        subscription = state.subscription
        name = subscription.key or subscription.public_id
        return format_html('<a class="ch-link" href="{}">{}</a>', subscription.get_absolute_url(), name)

    @display(description="Status", label={"parked": "danger", "scheduled": "info", "done": "success"})
    def status(self, state: BillingState) -> tuple[str, str]:
        if state.parked_at:
            return "parked", "Can't be billed"
        return ("done", "Nothing left to bill") if state.due_at is None else ("scheduled", "Scheduled")

    @display(description="Reason")
    def reason(self, state: BillingState) -> str:
        return state.parked_reason or "–"

    @display(description="Billed until (UTC)", ordering="billed_until")
    def billed(self, state: BillingState) -> str:
        return f"{state.billed_until:%Y-%m-%d %H:%M}" if state.billed_until else "–"

    @display(description="Next due (UTC)", ordering="due_at")
    def due(self, state: BillingState) -> str:
        return f"{state.due_at:%Y-%m-%d %H:%M}" if state.due_at else "–"

    @display(description="Attempts, next (UTC)")
    def tries(self, state: BillingState) -> str:
        return f"{state.attempts}, {state.retry_at:%Y-%m-%d %H:%M}" if state.retry_at else "–"

    @admin.action(description="Bill again now", permissions=["change"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[BillingState]) -> None:
        """Bill the selected subscriptions now, without waiting for their next attempt."""
        message, level = _retry(queryset)
        self.message_user(request, message, level)

    @action(
        description="Bill again now",
        icon="replay",
        variant=ActionVariant.PRIMARY,
        permissions=["change"],
        dialog={
            "title": "Bill this subscription now?",
            "description": "Drafts all invoices that are due. If the subscription still can't be billed, the reason is "
            "shown here.",
            "form_submit_text": "Bill now",
        },
    )
    def retry_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        message, level = _retry(BillingState.objects.filter(pk=object_id))
        return open_page(request, reverse("admin:billing_billingstate_change", args=[object_id]), message, level=level)


def _retry(states: QuerySet[BillingState]) -> tuple[str, int]:
    subscription_ids = list(states.values_list("pk", flat=True))
    return describe_retry(bill_subscriptions(subscription_ids, as_of=timezone.now(), retrying=True))
