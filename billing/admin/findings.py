"""What runs found, to look through and take away: invoices of dry runs, and what couldn't be billed."""

from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import display

from billing.admin.shared import money
from billing.models import RunFinding
from billing.money import round_amount
from billing.runs.billing_run import Tally
from billing.wording import dates
from config.office.files import Column
from config.office.readonly import LongListAdmin
from customers.periods import Period


def _rounded(amount: Decimal | None, currency: str) -> Decimal | None:
    return None if amount is None else round_amount(amount, currency)


COLUMNS: tuple[Column, ...] = (
    ("customer_external_id", lambda found: found.subscription.customer.external_id),
    ("customer", lambda found: found.subscription.customer.name),
    ("subscription", lambda found: found.subscription.public_id),
    ("kind", lambda found: found.kind),
    ("period_start", lambda found: found.period_start),
    ("period_end", lambda found: found.period_end),
    ("currency", lambda found: found.currency),
    ("lines", lambda found: found.lines),
    ("total", lambda found: _rounded(found.total, found.currency)),
    ("change", lambda found: _rounded(found.change, found.currency)),
    ("problem", lambda found: found.problem),
)


class OutcomeFilter(admin.SimpleListFilter):
    """Keep invoices, or what couldn't be billed."""

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
    """Every invoice that a dry run would draft, and every subscription that a run couldn't bill, with its reason."""

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
    search_help_text = "Customer's name or external id, subscription id"
    export_columns = COLUMNS
    empty_title = "Nothing found"
    empty_text = "A dry run lists here what it would draft. Start one at Billing → Runs."

    @display(description="Customer", header=True)
    def customer(self, found: RunFinding) -> list[str | SafeString]:
        customer = found.subscription.customer
        url = reverse("admin:billing_billingstate_change", args=[found.subscription_id])
        return [format_html('<a class="ch-link" href="{}">{}</a>', url, customer.name), customer.external_id]

    @display(description="Invoice")
    def kind_shown(self, found: RunFinding) -> str:
        return found.get_kind_display() or "—"

    @display(description="Period")
    def period(self, found: RunFinding) -> str:
        if found.period_start is None or found.period_end is None:
            return "—"
        return dates(Period(found.period_start, found.period_end), found.subscription.timezone)

    @display(description="Total")
    def money(self, found: RunFinding) -> SafeString | str:
        return "—" if found.total is None else money(found.total, found.currency)

    @display(description="Against the period before")
    def money_change(self, found: RunFinding) -> SafeString | str:
        return "—" if found.change is None else money(found.change, found.currency)

    @display(description="Why not")
    def problem_shown(self, found: RunFinding) -> str:
        return found.problem or "—"


def outcome(tally: Tally) -> tuple[str, int]:
    """Say what came of billing parked subscriptions again, and how loudly."""
    made = f"{tally.invoices} invoice{'' if tally.invoices == 1 else 's'} drafted"
    if tally.failed:
        return f"{made}, {tally.failed} still can't be billed: see why in the list.", messages.WARNING
    return f"{made}.", messages.SUCCESS
