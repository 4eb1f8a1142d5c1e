"""Upcoming invoices: the list of all live subscriptions with what their period comes to so far, and one in full."""

from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from billing.admin.shared import money, sums
from billing.explanation import page as invoice_page
from billing.explanation.totals import list_upcoming_total_rows
from billing.invoicing.compute import ComputedInvoice
from billing.invoicing.upcoming import upcoming, upcoming_many
from billing.models import InvoiceKind
from billing.money import format_amount
from billing.wording import dates
from customers.models import Subscription

if TYPE_CHECKING:
    from billing.admin.invoices import InvoiceAdmin

PER_PAGE = 25


def urls(page: "InvoiceAdmin") -> list[URLPattern]:
    """List the two pages' addresses, under the invoice list's."""

    def list_view(request: HttpRequest) -> HttpResponse:
        return upcoming_list(page, request)

    def one_view(request: HttpRequest, subscription_id: int) -> HttpResponse:
        return subscription_upcoming(page, request, subscription_id)

    view = page.admin_site.admin_view
    return [
        path("upcoming/", view(list_view), name="billing_upcoming"),
        path("upcoming/<int:subscription_id>/", view(one_view), name="billing_subscription_upcoming"),
    ]


def upcoming_list(page: "InvoiceAdmin", request: HttpRequest) -> HttpResponse:
    """Show every live subscription's running total, a page at a time. For staff who may view invoices."""
    _require_view(page, request)
    if "parked" in request.GET:
        return HttpResponseRedirect(f"{reverse('admin:billing_billingstate_changelist')}?parked=yes")
    now = timezone.now()
    asked = request.GET.get("q", "").strip()
    live = Subscription.objects.live(now).with_current(now).select_related("customer")
    if asked:
        named = Q(customer__name__icontains=asked) | Q(customer__external_id__icontains=asked)
        live = live.filter(named | Q(public_id=asked))
    paginator = Paginator(live.order_by("customer__name", "pk"), PER_PAGE)
    chosen = paginator.get_page(request.GET.get("page"))
    found = upcoming_many([subscription.pk for subscription in chosen], now=now)
    rows = [_list_row(subscription, found[subscription.pk]) for subscription in chosen]
    context = {
        "rows": rows,
        "page_obj": chosen,
        "q": asked,
        "money": sums((row["subscription"].currency, row["total"]) for row in rows),
        "title": "Upcoming invoices",
        "as_of": now,
    }
    return _render(page, request, "list", context)


def subscription_upcoming(page: "InvoiceAdmin", request: HttpRequest, subscription_id: int) -> HttpResponse:
    """Show one subscription's upcoming invoice as of now. For staff who may view invoices."""
    _require_view(page, request)
    now = timezone.now()
    found = Subscription.objects.with_current(now).select_related("customer")
    subscription = get_object_or_404(found, pk=subscription_id)
    coming = upcoming(subscription.pk, now=now)
    context = {
        "subscription": subscription,
        "coming": coming,
        "main": _shown(subscription, coming.invoice) if coming.invoice else None,
        "earlier": [_shown(subscription, computed) for computed in coming.earlier],
        "title": f"Upcoming invoice of {subscription.customer}",
        "as_of": now,
    }
    return _render(page, request, "one", context)


def _list_row(subscription: Subscription, coming: Any) -> dict[str, Any]:
    period = coming.period
    return {
        "subscription": subscription,
        "period": dates(period, subscription.timezone) if period else "—",
        "due_at": coming.invoice.work.step.due_at if coming.invoice else None,
        "total": coming.total,
        "money": money(coming.total, subscription.currency),
        "lines": len(coming.invoice.lines) if coming.invoice else 0,
        "earlier": len(coming.earlier),
        "problem": coming.problem,
    }


def _shown(subscription: Subscription, computed: ComputedInvoice) -> dict[str, Any]:
    step = computed.work.step
    return {
        "kind": InvoiceKind(step.kind).label,
        "period": dates(step.period, subscription.timezone),
        "due_at": step.due_at,
        "groups": invoice_page.groups(invoice_page.build_unsaved_lines(computed.lines), subscription.currency),
        "steps": list_upcoming_total_rows(computed.adjusted, subscription.currency),
        "note": computed.adjusted.note,
        "total": format_amount(computed.total, subscription.currency),
    }


def _require_view(page: "InvoiceAdmin", request: HttpRequest) -> None:
    if not page.has_view_permission(request):
        raise PermissionDenied


def _render(page: "InvoiceAdmin", request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
    shared = {**page.admin_site.each_context(request), "opts": page.opts}
    return TemplateResponse(request, f"admin/billing/upcoming/{name}.html", {**shared, **context})
