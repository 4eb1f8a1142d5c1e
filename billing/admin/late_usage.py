"""Late usage adjustments in the admin: the list, the page of one, and the decisions about them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display

from billing.admin.pages.late_adjustment import COLORS, credit_notes_url, format_period, page_context
from billing.admin.shared import format_totals, link, money_cell, plural
from billing.late_usage import decisions
from billing.models import LateAdjustment, LateState
from billing.models.late import OPEN_STATES
from config.numbers import number
from config.office.base import OfficeAdmin
from config.office.dialogs import staff
from config.office.filters import RangeDateTimeFilter
from config.office.permissions import WrittenBySystem
from config.refusals import Refused

RELATED = (
    "subscription__customer",
    "feature",
    "price__feature",
    "price__version__plan",
    "invoice",
    "line__invoice",
    "credit_note",
    "decided_by",
)


@dataclass(frozen=True)
class Decision:
    """A decision about selected adjustments, the states it applies to, and its wording."""

    action: str
    verb: str
    done: str
    effect: str
    states: Sequence[LateState]
    decide: Callable[..., list[LateAdjustment]]
    needs_reason: bool = False


APPROVE = Decision(
    action="approve_selected",
    verb="Approve",
    done="approved",
    effect="billed on the next invoice of each subscription",
    states=(LateState.HELD, LateState.SMALL),
    decide=decisions.approve,
)
WAIVE = Decision(
    action="ignore_selected",
    verb="Waive",
    done="waived",
    effect="never charged or credited",
    states=OPEN_STATES,
    decide=decisions.ignore,
    needs_reason=True,
)
REOPEN = Decision(
    action="take_up_selected",
    verb="Reopen",
    done="reopened",
    effect="recalculated for the next invoice",
    states=(LateState.IGNORED,),
    decide=decisions.reopen_ignored,
)


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
class LateAdjustmentAdmin(WrittenBySystem, OfficeAdmin):
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
    search_help_text = "Customer's name or external ID, feature, or number of the corrected invoice"
    ordering = ("-pk",)
    actions = ("approve_selected", "ignore_selected", "take_up_selected")
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
        ("Amount before", "amount_before"),
        ("Amount after", "amount_after"),
        ("Credited manually", "credited"),
        ("Difference", "amount"),
        ("State", lambda adjustment: adjustment.get_state_display()),
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
            return "—"
        amount = money_cell(adjustment.credited, adjustment.currency)
        return format_html('<a class="ch-link" href="{}">{}</a>', credit_notes_url(adjustment), amount)

    @display(description="Difference", ordering="amount")
    def money(self, adjustment: LateAdjustment) -> SafeString:
        return money_cell(adjustment.amount, adjustment.currency)

    @display(description="State", ordering="state", label=COLORS)
    def state_badge(self, adjustment: LateAdjustment) -> tuple[str, str]:
        return adjustment.state, adjustment.get_state_display()

    @display(description="Billed on, or reason")
    def where(self, adjustment: LateAdjustment) -> SafeString | str:
        if adjustment.line is not None:
            return link(adjustment.line.invoice)
        return billed_on(adjustment) or adjustment.reason or "—"

    @display(description="Detected", ordering="created_at")
    def since(self, adjustment: LateAdjustment) -> str:
        return f"{timezone.localtime(adjustment.created_at):%d %b %H:%M %Z}"

    @admin.action(description="Approve: bill on the next invoice", permissions=["change"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[LateAdjustment]) -> HttpResponse | None:
        return self.decide_selected(request, queryset, APPROVE)

    @admin.action(description="Waive: never bill the difference", permissions=["change"])
    def ignore_selected(self, request: HttpRequest, queryset: QuerySet[LateAdjustment]) -> HttpResponse | None:
        return self.decide_selected(request, queryset, WAIVE)

    @admin.action(description="Reopen waived adjustments", permissions=["change"])
    def take_up_selected(self, request: HttpRequest, queryset: QuerySet[LateAdjustment]) -> HttpResponse | None:
        return self.decide_selected(request, queryset, REOPEN)

    def decide_selected(
        self, request: HttpRequest, queryset: QuerySet[LateAdjustment], decision: Decision
    ) -> HttpResponse | None:
        """Preview a decision about the selected adjustments; once confirmed, apply it."""
        adjustments = list(queryset.select_related(*RELATED).order_by("pk"))
        matching = [adjustment for adjustment in adjustments if adjustment.state in decision.states]
        reason = request.POST.get("reason", "")
        if "confirmed" in request.POST:
            arguments = {"reason": reason} if decision.needs_reason else {}
            ids = [adjustment.pk for adjustment in matching]
            try:
                decided = decision.decide(ids, by=staff(request), now=timezone.now(), **arguments)
            except Refused as refusal:
                self.message_user(request, str(refusal), messages.ERROR)
            else:
                self.message_user(request, f"{describe(decided)}: {decision.done}.", messages.SUCCESS)
                return None
        context = {
            **self.admin_site.each_context(request),
            "title": f"{decision.verb} late usage",
            "opts": self.opts,
            "chosen": [(row, format_period(row), row.state in decision.states) for row in adjustments],
            "fitting": matching,
            "skipped": len(adjustments) - len(matching),
            "counted": describe(matching),
            "verb": decision.verb,
            "effect": decision.effect,
            "action": decision.action,
            "needs_reason": decision.needs_reason,
            "reason": reason,
        }
        return TemplateResponse(request, "admin/billing/late/decide.html", context)


def describe(adjustments: Sequence[LateAdjustment]) -> str:
    """Count adjustments and add their amounts: 2 adjustments, $1.50."""
    totals = format_totals((adjustment.currency, adjustment.amount) for adjustment in adjustments)
    return f"{plural(len(adjustments), 'adjustment')}, {totals or 'no amount'}"


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
