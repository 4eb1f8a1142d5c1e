"""The page of a customer: an overview, and tabs with the latest invoices, payments and events."""

from datetime import datetime
from typing import Any

from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from billing.admin.pages.invoice import format_period
from billing.models import Invoice
from billing.money import format_amount
from billing.overview.customer import (
    CurrencyBalance,
    CustomerOverview,
    customer_overview,
    latest_events,
    latest_payments,
)
from billing.overview.usage import FeatureUsage, SubscriptionUsage
from billing.wording import dates
from config.numbers import number
from config.office.links import admin_url
from config.office.wording import plural
from customers.admin.subscriptions.status import STATUS_COLORS, status_of
from customers.models import Customer, SubscriptionStatus
from customers.periods import local_date

LISTED = 25
TABS = (("", "Overview"), ("invoices", "Invoices"), ("payments", "Payments"), ("events", "Events"))
PERMISSIONS = {"invoices": "billing.view_invoice", "payments": "billing.view_payment", "events": "events.view_event"}
WINDOWS = {"DAY": "day", "WEEK": "week", "MONTH": "month"}


def overview_context(request: HttpRequest, customer: Customer) -> dict[str, Any]:
    """Return the context of a customer's page for the tab in the address. Tabs need the permission for their rows."""
    now, tab = timezone.now(), request.GET.get("tab", "")
    allowed = {name for name, permission in PERMISSIONS.items() if request.user.has_perm(permission)}
    tab = tab if tab in allowed else ""
    context = {
        "overview_template": f"admin/billing/customer/{tab or 'overview'}.html",
        "customer": customer,
        "now": now,
        "views": [(name, f"tab={key}" if key else "", key == tab) for key, name in TABS if not key or key in allowed],
        "may": {name: name in allowed for name in PERMISSIONS},
    }
    return context | _tab_context(request, customer, tab, now)


def _tab_context(request: HttpRequest, customer: Customer, tab: str, now: datetime) -> dict[str, Any]:
    if tab == "invoices":
        concerned = Q(customer=customer) | Q(subscription__customer=customer)
        invoices = Invoice.objects.filter(concerned).select_related("customer", "subscription").order_by("-pk")
        rows = [(invoice, format_period(invoice)) for invoice in invoices[:LISTED]]
        return {"rows": rows, "all_url": admin_url("billing_invoice_changelist", customer__id__exact=customer.pk)}
    if tab == "payments":
        url = admin_url("billing_payment_changelist", q=customer.external_id)
        return {"payments": latest_payments(customer, LISTED), "all_url": url}
    if tab == "events":
        url = admin_url("events_event_changelist", customer__id__exact=customer.pk, received="all")
        return {"events": latest_events(customer, LISTED), "all_url": url}
    return _overview_context(customer, customer_overview(customer, now=now))


def _overview_context(customer: Customer, overview: CustomerOverview) -> dict[str, Any]:
    return {
        "overview": overview,
        "tiles": [tile for balance in overview.balances for tile in _tiles(customer, balance)],
        "open_rows": [(invoice, format_period(invoice)) for invoice in overview.open_invoices],
        "children": [
            (child, [format_amount(total, currency) for currency, total in child.totals.items()])
            for child in overview.children
        ],
        "subscriptions": [_subscription_context(row) for row in overview.subscriptions],
    }


def _tiles(customer: Customer, balance: CurrencyBalance) -> list[tuple[str, str, str, bool]]:
    """Return the tiles of a currency: their name, amount and link, and whether they need attention."""

    def invoices(payment: str) -> str:
        filters: dict[str, str | int] = {
            "customer__id__exact": customer.pk,
            "currency__icontains": balance.currency,
            "payment": payment,
        }
        return admin_url("billing_invoice_changelist", **filters)

    count, currency = plural(balance.open_invoices, "invoice"), balance.currency
    tiles = [
        (f"Open in {currency} · {count}", balance.open, invoices("open"), False),
        ("Overdue", balance.overdue, invoices("overdue"), bool(balance.overdue)),
        ("Prepaid credit", balance.credit, admin_url("billing_wallet_changelist", q=customer.external_id), False),
    ]
    if balance.refund_due:
        tiles.append(("Refund due", balance.refund_due, invoices("back"), True))
    return [(name, format_amount(amount, currency), url, is_bad) for name, amount, url, is_bad in tiles]


def _subscription_context(usage: SubscriptionUsage) -> dict[str, Any]:
    subscription, coming = usage.subscription, usage.upcoming
    status, text = status_of(subscription)
    return {
        "subscription": subscription,
        "status": text,
        "status_color": STATUS_COLORS[SubscriptionStatus(status)],
        "period": dates(coming.period, subscription.timezone) if coming.period else "–",
        "total": format_amount(coming.total, subscription.currency),
        "problem": coming.problem,
        "due_on": local_date(coming.invoice.request.invoice.due_at, subscription.timezone) if coming.invoice else None,
        "earlier": [format_amount(invoice.total, subscription.currency) for invoice in coming.earlier],
        "features": [_feature_context(row, subscription.currency, WINDOWS[usage.size]) for row in usage.features],
    }


def _feature_context(row: FeatureUsage, currency: str, window: str) -> dict[str, Any]:
    free = "unlimited" if row.is_unlimited else number(row.free_units) if row.free_units else "–"
    return {
        "feature": row.feature,
        "quantity": number(row.quantity),
        "free": free,
        "percent": row.percent,
        "amount": format_amount(row.amount, currency),
        "values": row.values,
        "title": f"{row.feature.name} by {window}, {number(row.quantity)} in total",
    }
