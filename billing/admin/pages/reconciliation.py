"""The reconciliation of a month: received events by outcome, counted usage by billing status, each number a link."""

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from billing.models import CompanyProfile
from billing.month_end.months import Month
from billing.month_end.reconciliation import (
    HEADINGS,
    OUTCOME_LABELS,
    Reconciliation,
    latest_reconciliation,
    month_of,
)
from billing.month_end.reconciliation_entries import ReconciliationTotal, Row, row_name
from billing.month_end.usage import STATUS_LABELS
from catalog.models import Feature
from config.office.files import table_file
from config.office.pages import AdminPage
from customers.models import Customer
from customers.periods import Period
from events.links import between, occurred_between
from events.overview.reconciliation import Outcome

MOST_FEATURES = 500


class ReconciliationPage(AdminPage):
    """Show a month, by default the current one, of all customers or one; download it if `format` is csv or xlsx."""

    title = "Reconciliation"
    template_name = "admin/billing/reconciliation/page.html"

    def has_permission(self) -> bool:
        return super().has_permission() and may_view(self.request)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        now = timezone.now()
        customer, feature = read_customer(request), read_feature(request)
        try:
            month = Month.named(request.GET["month"]) if request.GET.get("month") else month_of(now)
        except ValueError:
            return self.render(month=month_of(now), problem="Enter the month as 2026-09.")
        context = {
            "month": month,
            "customer": customer,
            "feature": feature,
            "zone": CompanyProfile.current().timezone,
            "features": Feature.objects.metered().order_by("name")[:MOST_FEATURES],
            "query": urlencode(scope_query(month, customer, feature)),
        }
        if request.GET.get("external_id") and customer is None:
            return self.render(**context, problem=f"There is no customer {request.GET['external_id']}.")
        statement = latest_reconciliation(month, now=now, customer=customer, feature=feature)
        if statement is None:
            return self.render(**context, is_missing=True)
        if request.GET.get("format") in ("csv", "xlsx"):
            name = f"reconciliation-{month}"
            return table_file(HEADINGS, statement.rows(), name=name, file_format=request.GET["format"])
        title = f"{month.first:%B %Y}"
        return self.render(title=title, **context, **statement_context(statement, customer, feature))


def may_view(request: HttpRequest) -> bool:
    """Return whether someone can view events, which the reconciliation adds up and lists."""
    return bool(request.user.has_perm("events.view_event"))


def read_customer(request: HttpRequest) -> Customer | None:
    name = request.GET.get("external_id", "").replace("\x00", "").strip()
    return Customer.objects.filter(external_id=name).first() if name else None


def read_feature(request: HttpRequest) -> Feature | None:
    number = request.GET.get("feature", "")
    return Feature.objects.metered().filter(pk=int(number)).first() if number.isascii() and number.isdecimal() else None


def scope_query(month: Month, customer: Customer | None, feature: Feature | None) -> dict[str, str]:
    query = {"month": str(month)}
    if customer is not None:
        query["external_id"] = customer.external_id
    if feature is not None:
        query["feature"] = str(feature.pk)
    return query


def statement_context(statement: Reconciliation, customer: Customer | None, feature: Feature | None) -> dict[str, Any]:
    """Format both halves of a statement, each row with the address of what it counts."""
    month, period = statement.month, statement.period
    return {
        "statement": statement,
        "received_url": entries_url(ReconciliationTotal.RECEIVED, month, customer, feature),
        "counted_url": entries_url(ReconciliationTotal.USAGE, month, customer, feature),
        "outcomes": [
            (OUTCOME_LABELS[outcome], f"{events:,}", outcome_url(outcome, month, period, customer, feature))
            for outcome, events in statement.outcomes.items()
        ],
        "usage": [
            (
                line,
                STATUS_LABELS[line.status],
                f"{line.events:,}",
                entries_url(line.status, month, customer, line.feature),
            )
            for line in statement.usage
        ],
        "totals": [
            (
                STATUS_LABELS[status],
                f"{events:,}",
                "ch-negative" if status.is_unbilled else "",
                entries_url(status, month, customer, feature),
            )
            for status, events in statement.totals().items()
        ],
        "checks": list(_checks(statement)),
    }


def _checks(statement: Reconciliation) -> Iterator[tuple[str, int]]:
    yield "Events received = events by outcome", statement.unexplained
    yield "Events counted = events by billing status", statement.unassigned
    if statement.is_of_feature:
        yield "Events of the ledger that count = stored usage", statement.uncounted


def outcome_url(
    outcome: Outcome, month: Month, period: Period, customer: Customer | None, feature: Feature | None
) -> str:
    """Return the address of the list that holds what an outcome counts."""
    start, end = period.start, period.end
    if outcome in (Outcome.DUPLICATE, Outcome.CONFLICT):
        query = {"kind": "same" if outcome == Outcome.DUPLICATE else "conflict", **between("last_at", start, end)}
        return _url("events_duplicateevent_changelist", query | _external_id(customer))
    if outcome == Outcome.REFUSED:
        return _url("events_refusedrequest_changelist", between("last_at", start, end))
    if outcome == Outcome.WAITING:
        return _url("events_inboxevent_changelist", occurred_between(start, end) | _external_id(customer))
    return entries_url(outcome, month, customer, feature)


def entries_url(row: Row, month: Month, customer: Customer | None, feature: Feature | None) -> str:
    """Return the address of the events of a row."""
    return _url("billing_reconciliation_events", scope_query(month, customer, feature) | {"row": row_name(row) or ""})


def _external_id(customer: Customer | None) -> dict[str, str]:
    return {} if customer is None else {"external_customer_id": customer.external_id}


def _url(name: str, query: dict[str, str]) -> str:
    return f"{reverse(f'admin:{name}')}?{urlencode(query)}"
