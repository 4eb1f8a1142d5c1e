"""The Query tool: usage of one feature in a time range, grouped, charted and explained."""

from decimal import Decimal
from typing import Any
from zoneinfo import available_timezones

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from catalog.models import Feature
from config.numbers import number
from config.office.charts import Chart, Series
from config.office.files import file_name, table_file
from config.office.links import admin_url
from config.office.pages import AdminPage, clean_text, clean_values
from customers.models import Customer
from events import wording
from events.links import occurred_between
from events.query.answer import Answer, AnswerRow, answer, last_counted_at
from events.query.request import MOST_CUSTOMERS, Grouping, Query, QueryRefused, Window, read_query

FILE_COLUMNS = ("external_customer_id", "quantity", "events", "from (UTC)", "to (UTC)", "feature")
MOST_FEATURES = 500
MOST_SUGGESTED = 200


class QueryTool(AdminPage):
    """Answer a usage query with a number, a chart, tables and an explanation; with `format=csv` as a file.

    The whole query is in the address of the page, so staff can share it as a link.
    """

    permission = "events.view_event"
    title = "Query tool"
    template_name = "admin/events/query.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        form = form_context(request)
        if "feature" not in request.GET:
            return self.render(**form)
        try:
            query = read_query(clean_values(request.GET), _customers(request), now=timezone.now())
            result = answer(query, recount="recount" in request.GET)
        except QueryRefused as refusal:
            return self.render(**form, refusal=str(refusal))
        if request.GET.get("format") == "csv":
            return answer_file(result)
        return self.render(**form, **answer_context(request, result))


def _customers(request: HttpRequest) -> list[str]:
    """Read the customers from repeated parameters, or from one parameter separated by commas."""
    return [clean_text(part) for text in request.GET.getlist("customer") for part in text.split(",")]


def form_context(request: HttpRequest) -> dict[str, Any]:
    """Return the query in the address and what the form offers."""
    features = Feature.objects.metered().order_by("name").values("pk", "name", "event_name", "state")
    customers = Customer.objects.active().order_by("name").values("external_id", "name")
    return {
        "features": list(features[:MOST_FEATURES]),
        "customers": list(customers[:MOST_SUGGESTED]),
        "windows": Window.choices,
        "groups": Grouping.choices,
        "timezones": sorted(available_timezones()),
        "chosen_feature": request.GET.get("feature", ""),
        "chosen_customers": ", ".join(part.strip() for part in _customers(request) if part.strip()),
        "chosen_window": request.GET.get("window", ""),
        "chosen_group": request.GET.get("group", ""),
        "requested": request.GET,
        "most_customers": MOST_CUSTOMERS,
    }


def answer_context(request: HttpRequest, result: Answer) -> dict[str, Any]:
    """Return the answer as text, with links to the events behind each number."""
    query, feature = result.query, result.query.feature
    address = request.GET.copy()
    address.pop("format", None)
    recount = address.copy()
    recount["recount"] = "1"
    csv_address = address.copy()
    csv_address["format"] = "csv"
    newest = last_counted_at(feature) if not result.events else None
    return {
        "answer": result,
        "query": query,
        "number": number(result.total) if result.total is not None else "",
        "unit": feature.unit_for(result.total) if result.total is not None else "",
        "window_text": wording.span(query.period, query.timezone),
        "recounted": _recounted(result),
        "rows": [row_context(row, result) for row in result.rows],
        "customer_rows": [row_context(row, result) for row in result.by_customer],
        "chart": _chart(result),
        "csv_url": f"?{csv_address.urlencode()}",
        "recount_url": f"?{recount.urlencode()}",
        "events_url": _events_url(query),
        "newest": wording.minute(newest) if newest else "",
        "window_start": f"{query.period.start:%Y-%m-%dT%H:%M}",
        "window_end": f"{query.period.end:%Y-%m-%dT%H:%M}",
        "feature_url": admin_url("catalog_feature_change", feature.pk),
    }


def _recounted(result: Answer) -> dict[str, Any] | None:
    recount = result.recount
    if recount is None:
        return None
    text = number(recount.quantity) if recount.quantity is not None else "per customer"
    return {"number": text, "events": recount.events, "agrees": recount.agrees}


def row_context(row: AnswerRow, result: Answer) -> dict[str, Any]:
    customer = row.customer
    url = admin_url("customers_customer_change", customer.pk) if customer else ""
    return {
        "label": row.label,
        "quantity": number(row.quantity),
        "events": row.events,
        "url": url,
        "note": customer.external_id if customer else "",
        "events_url": _events_url(result.query, row),
    }


def _events_url(query: Query, row: AnswerRow | None = None) -> str:
    """Link to the events behind the total, or behind one row.

    For a cumulative feature these are all events up to the end of the time range.
    """
    customers = [row.customer] if row and row.customer else list(query.customers)
    start = (row and row.start) or query.period.start
    end = (row and row.end) or query.period.end
    filters: dict[str, str | int] = {"counts_for": query.feature.pk}
    if len(customers) == 1:
        filters["customer__id__exact"] = customers[0].pk
    else:
        filters["received"] = "all"
    if row and query.group == Grouping.PROPERTY:
        filters["property"] = f"{query.property}:{row.label}"
    since = None if query.feature.is_cumulative else start
    return admin_url("events_event_changelist", **filters, **occurred_between(since, end))


def _chart(result: Answer) -> Chart | None:
    """Return one bar per group, stacked by customer if there are several."""
    if not result.rows or not result.events:
        return None
    query = result.query
    heading = query.property or str(query.group)
    is_stacked = query.group != Grouping.PROPERTY and len(result.by_customer) > 1 and result.total is not None
    whole = Series(query.feature.name, [row.quantity for row in result.rows])
    return Chart(
        title=f"By {heading}",
        heading=heading.capitalize(),
        labels=[row.label for row in result.rows],
        series=_stacks(result) if is_stacked else [whole],
        unit=query.feature.unit_for(Decimal(0)),
        links=[_events_url(query, row) for row in result.rows],
        has_table=False,
    )


def _stacks(result: Answer) -> list[Series]:
    return [
        Series(customer.name, [row.parts[index] for row in result.rows])
        for index, customer in enumerate(result.customers)
    ]


def answer_file(result: Answer) -> HttpResponseBase:
    """Respond with the rows of the answer as CSV: exact numbers, and the period of each row."""
    query = result.query
    all_ids = ", ".join(customer.external_id for customer in query.customers)
    headings = (query.property or query.group or "customer", *FILE_COLUMNS)
    table = (
        [
            row.label,
            row.customer.external_id if row.customer else all_ids,
            row.quantity,
            row.events,
            row.start or query.period.start,
            row.end or query.period.end,
            query.feature.name,
        ]
        for row in result.rows or result.by_customer
    )
    return table_file(headings, table, name=file_name(f"usage {query.feature.name}"), file_format="csv")
