"""Late usage adjustments in the admin: the list, and the page of one."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display

from billing.admin.late_decisions import RELATED, LateDecisions
from billing.admin.pages.late_adjustment import COLORS, credit_notes_url, format_period, page_context
from billing.admin.shared import format_totals, link, money_cell, rounded
from billing.models import LateAdjustment, LateState
from billing.models.late import OPEN_STATES
from config.numbers import number
from config.office.base import OfficeAdmin
from config.office.filters import RangeDateTimeFilter
from config.office.permissions import WrittenBySystem


def billed_on(adjustment: LateAdjustment) -> str:
    """Return the invoice or the credit note that includes the adjustment."""
    if adjustment.line is not None:
        return str(adjustment.line.invoice)
    return str(adjustment.credit_note) if adjustment.credit_note is not None else ""


class CreditedFilter(DropdownFilter):
    """Filter adjustments by whether the original charge was credited manually before."""

    title = "Credited manually"
    parameter_name = "credited"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Credited before"), ("no", "Not credited")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(credited__gt=0) if self.value() == "yes" else queryset.filter(credited=0)


@admin.register(LateAdjustment)
class LateAdjustmentAdmin(LateDecisions, WrittenBySystem, OfficeAdmin):
    """Changes to invoiced periods. Created by the system; staff approve, waive or reopen them."""

    list_display = (
        "customer_name",
        "what",
        "period",
        "used",
        "credited_before",
        "money",
        "state_badge",
        "where",
        "since",
    )
    list_select_related = RELATED
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("subscription__customer", AutocompleteSelectFilter),
        ("feature", AutocompleteSelectFilter),
        ("invoice", AutocompleteSelectFilter),
        CreditedFilter,
        ("created_at", RangeDateTimeFilter),
    )
    list_fullwidth = True
    list_before_template = "admin/billing/late/queues.html"
    search_fields = (
        "public_id",
        "subscription__customer__name",
        "subscription__customer__external_id",
        "feature__name",
        "invoice__number",
    )
    search_help_text = "Customer's name or external customer ID, feature, or number of the corrected invoice"
    ordering = ("-pk",)
    actions = ("approve_selected", "ignore_selected", "take_up_selected")
    actions_detail = ("approve_one", "waive_one", "reopen_one")
    change_form_template = "admin/billing/late/change_form.html"
    empty_title = "No late usage"
    empty_text = (
        "If an event arrives, is voided or is replayed after its period was invoiced, the difference is listed here "
        "and billed on the next invoice."
    )
    empty_icon = "history_toggle_off"
    export_columns = (
        ("ID", "public_id"),
        ("Customer", "subscription__customer__external_id"),
        ("Feature", "feature__name"),
        ("Period start", "period_start"),
        ("Period end", "period_end"),
        ("Corrects invoice", lambda adjustment: str(adjustment.invoice) if adjustment.invoice else ""),
        ("Quantity before", "quantity_before"),
        ("Quantity after", "quantity_after"),
        ("Currency", "currency"),
        ("Amount before", rounded("amount_before")),
        ("Amount after", rounded("amount_after")),
        ("Credited manually", rounded("credited")),
        ("Difference", rounded("amount")),
        ("Status", lambda adjustment: adjustment.get_state_display()),
        ("Billed on", billed_on),
        ("Reason", "reason"),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: LateAdjustment | None = None) -> list[str]:
        return [field.name for field in LateAdjustment._meta.fields]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Compare the original charge with the recalculated one."""
        adjustments = LateAdjustment.objects.select_related(*RELATED)
        adjustment = adjustments.filter(pk=object_id).first() if object_id.isdigit() else None
        context = extra_context or {}
        if request.method != "POST" and adjustment is not None:
            context = {**context, "title": str(adjustment), **page_context(adjustment)}
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"queues": open_queues(), **(extra_context or {})})

    @display(description="Customer", ordering="subscription__customer__name", header=True)
    def customer_name(self, adjustment: LateAdjustment) -> list[str]:
        return [adjustment.subscription.customer.name, adjustment.subscription.customer.external_id]

    @display(description="Charge", ordering="feature__name")
    def what(self, adjustment: LateAdjustment) -> str:
        return adjustment.price.label

    @display(description="Period", ordering="period_start")
    def period(self, adjustment: LateAdjustment) -> SafeString:
        invoice = link(adjustment.invoice) if adjustment.invoice else "not invoiced"
        return format_html("{}<br>{}", format_period(adjustment), invoice)

    @display(description="Used")
    def used(self, adjustment: LateAdjustment) -> str:
        return f"{number(adjustment.quantity_before)} → {number(adjustment.quantity_after)}"

    @display(description="Credited", ordering="credited")
    def credited_before(self, adjustment: LateAdjustment) -> SafeString | str:
        if not adjustment.credited:
            return "–"
        amount = money_cell(adjustment.credited, adjustment.currency)
        return format_html('<a class="ch-link" href="{}">{}</a>', credit_notes_url(adjustment), amount)

    @display(description="Difference", ordering="amount")
    def money(self, adjustment: LateAdjustment) -> SafeString:
        return money_cell(adjustment.amount, adjustment.currency)

    @display(description="Status", ordering="state", label=COLORS)
    def state_badge(self, adjustment: LateAdjustment) -> tuple[str, str]:
        return adjustment.state, adjustment.get_state_display()

    @display(description="Billed on, or reason")
    def where(self, adjustment: LateAdjustment) -> SafeString | str:
        if adjustment.line is not None:
            return link(adjustment.line.invoice)
        return billed_on(adjustment) or adjustment.reason or "–"

    @display(description="Detected", ordering="created_at")
    def since(self, adjustment: LateAdjustment) -> str:
        return f"{timezone.localtime(adjustment.created_at):%Y-%m-%d %H:%M %Z}"


def open_queues() -> list[dict[str, Any]]:
    """Count open adjustments by state, with their amounts and a link to the list. One query."""
    counts = dict.fromkeys(OPEN_STATES, 0)
    amounts: dict[LateState, list[tuple[str, Any]]] = {state: [] for state in OPEN_STATES}
    rows = LateAdjustment.objects.filter(state__in=OPEN_STATES).order_by("state", "currency")
    for value, currency, count, amount in rows.values_list("state", "currency").annotate(Count("pk"), Sum("amount")):
        state = LateState(value)
        counts[state] += count
        amounts[state].append((currency, amount))
    list_url = reverse("admin:billing_lateadjustment_changelist")
    return [
        {
            "label": state.label,
            "count": counts[state],
            "money": format_totals(amounts[state]),
            "url": f"{list_url}?state__exact={state.value}",
        }
        for state in OPEN_STATES
    ]
