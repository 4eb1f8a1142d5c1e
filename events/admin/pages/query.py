"""The Query tool's page: the whole query is in its address, so that a link holds it; `format=csv` gives the table."""

import csv
from typing import Any
from zoneinfo import available_timezones

import orjson
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from catalog.models import Feature
from config.numbers import number
from config.office.links import admin_url
from config.office.pages import clean, ensure_may_view, page
from customers.models import Customer
from events import wording
from events.links import occurred_between
from events.query.answer import Answer, AnswerRow, answer, last_counted_at
from events.query.request import GROUPS, MOST_CUSTOMERS, WINDOWS, Query, QueryRefused, read_query

COLOURS = ("var(--color-primary-600)", "#d97706", "#2563eb", "#9333ea", "#dc2626", "#0891b2", "#65a30d", "#db2777")
MOST_FEATURES = 500
MOST_SUGGESTED = 200


@require_GET
def query_page(request: HttpRequest) -> HttpResponse:
    """Answer the query in the address: number, chart, table, and how it came about. For staff who may view events."""
    ensure_may_view(request)
    context = _form(request)
    if "feature" not in request.GET:
        return page(request, "query.html", "Query tool", **context)
    try:
        query = read_query(_given(request), _customers(request), now=timezone.now())
        found = answer(query, recount="recount" in request.GET)
    except QueryRefused as refused:
        return page(request, "query.html", "Query tool", **context, refusal=str(refused))
    if request.GET.get("format") == "csv":
        return _csv(found)
    return page(request, "query.html", "Query tool", **context, **_shown(request, found))


def _given(request: HttpRequest) -> dict[str, str]:
    return {name: clean(str(value)) for name, value in request.GET.items()}


def _customers(request: HttpRequest) -> list[str]:
    """Take the customers as repeated parameters, or several in one, separated by commas."""
    return [clean(part) for text in request.GET.getlist("customer") for part in text.split(",")]


def _form(request: HttpRequest) -> dict[str, Any]:
    given = request.GET
    features = Feature.objects.metered().order_by("name").values("pk", "name", "event_name", "state")
    customers = Customer.objects.active().order_by("name").values("external_id", "name")
    return {
        "features": list(features[:MOST_FEATURES]),
        "customers": list(customers[:MOST_SUGGESTED]),
        "windows": WINDOWS.items(),
        "groups": GROUPS.items(),
        "timezones": sorted(available_timezones()),
        "chosen_feature": given.get("feature", ""),
        "chosen_customers": ", ".join(part.strip() for part in _customers(request) if part.strip()),
        "chosen_window": given.get("window", ""),
        "chosen_group": given.get("group", ""),
        "requested": given,
        "most_customers": MOST_CUSTOMERS,
    }


def _shown(request: HttpRequest, found: Answer) -> dict[str, Any]:
    query, feature = found.query, found.query.feature
    address = request.GET.copy()
    address.pop("format", None)
    recount = address.copy()
    recount["recount"] = "1"
    csv_address = address.copy()
    csv_address["format"] = "csv"
    newest = last_counted_at(feature) if not found.events else None
    return {
        "answer": found,
        "query": query,
        "number": number(found.total) if found.total is not None else "",
        "unit": feature.unit_for(found.total) if found.total is not None else "",
        "window_text": wording.span(query.period, query.timezone),
        "recounted": _recounted(found),
        "rows": [_row(row, found) for row in found.rows],
        "customer_rows": [_row(row, found) for row in found.by_customer],
        "chart": _chart(found),
        "chart_options": _chart_options(found),
        "csv_url": f"?{csv_address.urlencode()}",
        "recount_url": f"?{recount.urlencode()}",
        "events_url": _events_url(query),
        "newest": wording.minute(newest) if newest else "",
        "window_start": f"{query.period.start:%Y-%m-%dT%H:%M}",
        "window_end": f"{query.period.end:%Y-%m-%dT%H:%M}",
        "feature_url": admin_url("catalog_feature_change", feature.pk),
    }


def _recounted(found: Answer) -> dict[str, Any] | None:
    recount = found.recount
    if recount is None:
        return None
    text = number(recount.quantity) if recount.quantity is not None else "customer by customer"
    return {"number": text, "events": recount.events, "agrees": recount.agrees}


def _row(row: AnswerRow, found: Answer) -> dict[str, Any]:
    customer = row.customer
    url = admin_url("customers_customer_change", customer.pk) if customer else ""
    return {
        "label": row.label,
        "quantity": number(row.quantity),
        "events": row.events,
        "url": url,
        "note": customer.external_id if customer else "",
        "events_url": _events_url(found.query, row),
    }


def _events_url(query: Query, row: AnswerRow | None = None) -> str:
    """Link to the events behind the number, or behind one row: of the feature's names, in the window, of the customer.

    A group of a property's value takes that, too. A running total counts from the beginning on.
    """
    customers = [row.customer] if row and row.customer else list(query.customers)
    start = (row and row.start) or query.period.start
    end = (row and row.end) or query.period.end
    given: dict[str, str | int] = {"event_name": query.feature.event_name}
    if len(customers) == 1:
        given["customer__id__exact"] = customers[0].pk
    else:
        given["received"] = "all"
    if row and query.group == "property":
        given["property"] = f"{query.property}:{row.label}"
    since = None if query.feature.is_cumulative else start
    return admin_url("events_event_changelist", **given, **occurred_between(since, end))


def _chart(found: Answer) -> str:
    """Write the chart's data: a bar for each group, stacked by customer when there are several."""
    if not found.rows or not found.events:
        return ""
    labels = [row.label for row in found.rows]
    if found.query.group != "property" and len(found.by_customer) > 1 and found.total is not None:
        return _json({"labels": labels, "datasets": _stacks(found)})
    bars = {"label": found.query.feature.name, "data": [float(row.quantity) for row in found.rows]}
    return _json({"labels": labels, "datasets": [bars | {"backgroundColor": COLOURS[0], "maxBarThickness": 36}]})


def _chart_options(found: Answer) -> str:
    """Write the chart's options: a legend where customers are stacked, few labels, no lines but the scale's."""
    is_stacked = len(found.by_customer) > 1 and found.query.group != "property"
    grey = "#8a94a3"
    axis = {
        "stacked": True,
        "ticks": {"color": grey, "maxRotation": 0, "autoSkipPadding": 12},
        "border": {"display": False},
    }
    return _json(
        {
            "responsive": True,
            "maintainAspectRatio": False,
            "animation": False,
            "scales": {
                "x": axis | {"grid": {"display": False}},
                "y": axis | {"beginAtZero": True, "grid": {"color": "rgba(138, 148, 163, .22)"}},
            },
            "plugins": {
                "legend": {"display": is_stacked, "position": "bottom", "labels": {"color": grey, "boxWidth": 12}}
            },
        }
    )


def _stacks(found: Answer) -> list[dict[str, Any]]:
    names = [customer.name for customer in found.customers]
    return [
        {
            "label": name,
            "data": [float(row.parts[index]) for row in found.rows],
            "backgroundColor": COLOURS[index % len(COLOURS)],
            "stack": "all",
            "maxBarThickness": 36,
        }
        for index, name in enumerate(names)
    ]


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _csv(found: Answer) -> HttpResponse:
    """Write the rows as shown: numbers exact, ids as text, a header that says what is what."""
    query = found.query
    answer_ = HttpResponse(content_type="text/csv; charset=utf-8")
    answer_["Content-Disposition"] = 'attachment; filename="usage.csv"'
    writer = csv.writer(answer_)
    heading = query.property or query.group or "customer"
    writer.writerow([_safe(heading), "external_customer_id", "quantity", "events", "from", "to", "feature"])
    for row in found.rows or found.by_customer:
        start = row.start or query.period.start
        end = row.end or query.period.end
        external_id = (
            row.customer.external_id if row.customer else ", ".join(one.external_id for one in query.customers)
        )
        quantity, window = f"{row.quantity:f}", (start.isoformat(), end.isoformat())
        cells = [row.label, external_id, quantity, row.events, *window, query.feature.name]
        writer.writerow([_safe(cell) for cell in cells])
    return answer_


def _safe(cell: object) -> object:
    """Keep a spreadsheet from taking a text for a formula."""
    is_formula = isinstance(cell, str) and cell[:1] in "=+-@\t\r" and not cell.lstrip("-").replace(".", "", 1).isdigit()
    return f"'{cell}" if cell and is_formula else cell
