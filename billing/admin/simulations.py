"""Simulations in the admin: start and cancel them, their results, and each simulated period."""

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from billing.admin.forms.simulations import SimulationForm
from billing.admin.pages.simulation import panel_context, period_context
from billing.admin.shared import format_totals, money_cell, rounded
from billing.models import Simulation, SimulationInvoice, SimulationState
from billing.simulation.running import cancel_simulation, start_simulation
from billing.tasks import enqueue_simulations
from billing.wording import dates
from config.office.base import DeclaredLookups
from config.office.dialogs import action, open_page, staff
from config.office.files import Column
from config.office.filters import RangeDateTimeFilter
from config.office.permissions import NeverChanged
from config.office.readonly import LongListAdmin
from customers.periods import Period

COLUMNS: tuple[Column, ...] = (
    ("customer_external_id", "customer__external_id"),
    ("customer", "customer__name"),
    ("subscription", "subscription__public_id"),
    ("period_start", "period_start"),
    ("period_end", "period_end"),
    ("currency", "currency"),
    ("invoiced", rounded("invoiced")),
    ("simulated", rounded("simulated")),
    ("change", rounded("change")),
    ("changes_sign", "changes_sign"),
    ("exceeds_limit", "exceeds_limit"),
    ("charges", lambda row: "; ".join(f"{name}: {before} -> {after}" for _, name, before, after in row.lines)),
    ("causes", lambda row: "; ".join(f"{cause}: {name} {amount}" for cause, name, amount, *_ in row.parts)),
    ("problem", "problem"),
)
WORKERS = 2  # that begin with a new simulation at once


@admin.register(Simulation)
class SimulationAdmin(DeclaredLookups, NeverChanged, ModelAdmin):
    """Past invoices calculated again on other prices. Nothing is invoiced or changed."""

    change_form_template = "admin/billing/simulation/change_form.html"
    change_list_template = "admin/billing/simulation/change_list.html"
    list_display = ("title", "state_badge", "selection", "periods", "subscriptions", "money_change", "started")
    list_select_related = ("started_by",)
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("change", ChoicesDropdownFilter),
        ("started_at", RangeDateTimeFilter),
    )
    list_filter_submit = True
    list_per_page = 50
    search_fields = ("title", "public_id")
    ordering = ("-started_at",)
    view_on_site = False
    actions_list = ("start",)
    actions_detail = ("cancel",)

    def has_start_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return request.user.has_perm("billing.add_simulation")

    def has_cancel_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        running = Simulation.objects.filter(pk=str(object_id or 0), state=SimulationState.RUNNING)
        return request.user.has_perm("billing.change_simulation") and running.exists()

    @display(
        description="Status",
        ordering="state",
        label={
            SimulationState.RUNNING: "info",
            SimulationState.FINISHED: "success",
            SimulationState.CANCELED: "warning",
        },
    )
    def state_badge(self, simulation: Simulation) -> tuple[str, str]:
        return simulation.state, simulation.get_state_display()

    @display(description="Change")
    def money_change(self, simulation: Simulation) -> SafeString:
        changes = [(row["currency"], Decimal(row["change"])) for row in simulation.results]
        return format_html('<span class="ch-money">{}</span>', format_totals(changes) or "–")

    @display(description="Started", ordering="started_at")
    def started(self, simulation: Simulation) -> str:
        return f"{simulation.started_at:%Y-%m-%d %H:%M} UTC"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a simulation's progress and, once it is finished, its results."""
        simulation = Simulation.objects.select_related("started_by").filter(pk=object_id).first()
        context = extra_context or {}
        if simulation is not None:
            title = f"Simulation: {simulation}"
            context = {**context, **panel_context(simulation), "title": title, "show_history": False}
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    @action(
        description="New simulation",
        icon="science",
        variant=ActionVariant.PRIMARY,
        permissions=["start"],
        dialog={
            "title": "Start a simulation",
            "description": "Calculates past invoices again on other prices, and compares the totals with what was "
            "invoiced. Nothing is invoiced or changed.",
            "form_class": SimulationForm,
            "form_submit_text": "Start simulation",
        },
    )
    def start(self, request: HttpRequest, form: SimulationForm) -> HttpResponse:
        simulation = start_simulation(form.inputs(), now=timezone.now(), by=staff(request))
        enqueue_simulations(times=WORKERS)
        return open_page(request, simulation.get_absolute_url(), "The simulation has started.")

    @action(
        description="Cancel",
        icon="cancel",
        permissions=["cancel"],
        dialog={
            "title": "Cancel this simulation?",
            "description": "Its remaining subscriptions aren't calculated, and it gets no results.",
            "form_submit_text": "Cancel simulation",
        },
    )
    def cancel(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        simulation = get_object_or_404(Simulation, pk=object_id)
        simulation = cancel_simulation(simulation, now=timezone.now(), by=staff(request))
        return open_page(request, simulation.get_absolute_url(), f"The simulation is {simulation.state}.")


class OutcomeFilter(admin.SimpleListFilter):
    """Filter simulated periods by what became of the total."""

    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("more", "Pays more"),
            ("less", "Pays less"),
            ("same", "Unchanged"),
            ("sign", "Sign changes"),
            ("limit", "Above the limit"),
            ("problem", "Can't be simulated"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[SimulationInvoice]) -> QuerySet[SimulationInvoice]:
        conditions: dict[str, dict[str, Any]] = {
            "more": {"change__gt": 0},
            "less": {"change__lt": 0},
            "same": {"change": 0, "problem": ""},
            "sign": {"changes_sign": True},
            "limit": {"exceeds_limit": True},
            "problem": {"period_start": None},
        }
        return queryset.filter(**conditions.get(self.value() or "", {}))


@admin.register(SimulationInvoice)
class SimulationInvoiceAdmin(LongListAdmin):
    """The periods that simulations calculated, each with what was invoiced."""

    change_form_template = "admin/billing/simulation/period.html"
    list_display = ("customer_shown", "period", "show_amount", "show_after", "money_change", "problem_shown")
    list_select_related = ("subscription", "customer", "simulation")
    list_filter = (
        OutcomeFilter,
        ("currency", admin.AllValuesFieldListFilter),
        ("simulation", AutocompleteSelectFilter),
    )
    search_fields = ("customer__name", "customer__external_id", "subscription__public_id")
    search_help_text = "Customer's name or external ID, or subscription ID"
    export_columns = COLUMNS
    empty_title = "No simulated periods"
    empty_text = "A simulation lists each period that it calculated here. Start one under Billing → Simulations."

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a period's charges, invoiced and simulated, and the causes of the change."""
        rows = SimulationInvoice.objects.select_related(*self.list_select_related)
        row = rows.filter(pk=object_id).first()
        context = extra_context or {}
        if row is not None:
            context = {**context, **period_context(row), "title": f"{row.customer}, {self.period(row)}"}
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    @display(description="Customer", header=True)
    def customer_shown(self, row: SimulationInvoice) -> list[str | SafeString]:
        url = reverse("admin:billing_simulationinvoice_change", args=[row.pk])
        return [format_html('<a class="ch-link" href="{}">{}</a>', url, row.customer.name), row.customer.external_id]

    @display(description="Period")
    def period(self, row: SimulationInvoice) -> str:
        if row.period_start is None or row.period_end is None:
            return "–"
        return dates(Period(row.period_start, row.period_end), row.subscription.timezone)

    @display(description="Invoiced")
    def show_amount(self, row: SimulationInvoice) -> SafeString:
        return money_cell(row.invoiced, row.currency)

    @display(description="Simulated")
    def show_after(self, row: SimulationInvoice) -> SafeString:
        return money_cell(row.simulated, row.currency)

    @display(description="Change")
    def money_change(self, row: SimulationInvoice) -> SafeString:
        return money_cell(row.change, row.currency)

    @display(description="Problem")
    def problem_shown(self, row: SimulationInvoice) -> str:
        return row.problem or "–"
