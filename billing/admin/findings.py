"""Findings of billing runs in the admin: expected invoices of dry runs, and subscriptions that couldn't be billed."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import display

from billing.admin.shared import money_cell, rounded
from billing.models import RunFinding
from billing.runs.tally import Tally
from billing.wording import dates
from config.office.files import Column
from config.office.readonly import LongListAdmin
from config.office.wording import plural
from customers.periods import Period

COLUMNS: tuple[Column, ...] = (
    ("customer_external_id", lambda finding: finding.subscription.customer.external_id),
    ("customer", lambda finding: finding.subscription.customer.name),
    ("subscription", lambda finding: finding.subscription.public_id),
    ("kind", lambda finding: finding.kind),
    ("period_start", lambda finding: finding.period_start),
    ("period_end", lambda finding: finding.period_end),
    ("currency", lambda finding: finding.currency),
    ("lines", lambda finding: finding.lines),
    ("total", rounded("total")),
    ("change", rounded("change")),
    ("problem", lambda finding: finding.problem),
)


class OutcomeFilter(admin.SimpleListFilter):
    """Filter findings by whether they are an invoice or a problem."""

    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("invoice", "Invoice"), ("problem", "Can't be billed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RunFinding]) -> QuerySet[RunFinding]:
        if self.value() == "invoice":
            return queryset.filter(problem="")
        return queryset.exclude(problem="") if self.value() == "problem" else queryset


@admin.register(RunFinding)
class RunFindingAdmin(LongListAdmin):
    """Invoices that a dry run expects, and subscriptions that a run couldn't bill with the reasons."""

    list_display = ("customer", "kind_shown", "period", "money", "money_change", "problem_shown")
    list_display_links = None
    list_select_related = ("subscription__customer",)
    list_filter = (
        OutcomeFilter,
        ("kind", ChoicesDropdownFilter),
        ("currency", admin.AllValuesFieldListFilter),
        ("run", AutocompleteSelectFilter),
    )
    search_fields = ("subscription__customer__name", "subscription__customer__external_id", "subscription__public_id")
    search_help_text = "Customer's name or external customer ID, or subscription ID"
    export_columns = COLUMNS
    empty_title = "No findings"
    empty_text = "A dry run lists the invoices it expects here. Start one under Billing → Runs."

    @display(description="Customer", header=True)
    def customer(self, finding: RunFinding) -> list[str | SafeString]:
        customer = finding.subscription.customer
        url = reverse("admin:billing_billingstate_change", args=[finding.subscription_id])
        return [format_html('<a class="ch-link" href="{}">{}</a>', url, customer.name), customer.external_id]

    @display(description="Invoice")
    def kind_shown(self, finding: RunFinding) -> str:
        return finding.get_kind_display() or "–"

    @display(description="Period")
    def period(self, finding: RunFinding) -> str:
        if finding.period_start is None or finding.period_end is None:
            return "–"
        return dates(Period(finding.period_start, finding.period_end), finding.subscription.timezone)

    @display(description="Total")
    def money(self, finding: RunFinding) -> SafeString | str:
        return "–" if finding.total is None else money_cell(finding.total, finding.currency)

    @display(description="Change from previous period")
    def money_change(self, finding: RunFinding) -> SafeString | str:
        return "–" if finding.change is None else money_cell(finding.change, finding.currency)

    @display(description="Problem")
    def problem_shown(self, finding: RunFinding) -> str:
        return finding.problem or "–"


def describe_retry(tally: Tally) -> tuple[str, int]:
    """Return a message about billing parked subscriptions again, and its level."""
    drafted = f"Drafted {plural(tally.invoices, 'invoice')}"
    if tally.failed:
        failed = plural(tally.failed, "subscription")
        return f"{drafted}. {failed} still can't be billed; the list shows the reasons.", messages.WARNING
    return f"{drafted}.", messages.SUCCESS
