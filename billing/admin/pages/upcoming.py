"""Upcoming invoices: a list with the running total of each active subscription, and a page for one of them."""

from datetime import datetime
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from billing.admin.shared import format_totals, money_cell
from billing.explanation import page as invoice_page
from billing.explanation.totals import list_upcoming_total_rows
from billing.invoicing.compute import ComputedInvoice
from billing.invoicing.joint_upcoming import upcoming_sections
from billing.invoicing.upcoming import Upcoming, upcoming, upcoming_many
from billing.models import InvoiceKind
from billing.money import ZERO, format_amount
from billing.wording import dates
from config.office.pages import AdminPage
from customers.models import Subscription

PER_PAGE = 25


class UpcomingList(AdminPage):
    """List active subscriptions with their running totals."""

    title = "Upcoming"
    template_name = "admin/billing/upcoming/list.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "parked" in request.GET:
            return HttpResponseRedirect(f"{reverse('admin:billing_billingstate_changelist')}?parked=yes")
        now = timezone.now()
        search = request.GET.get("q", "").strip()
        page = Paginator(search_subscriptions(search, now), PER_PAGE).get_page(request.GET.get("page"))
        upcoming_by_id = upcoming_many([subscription.pk for subscription in page], now=now)
        rows = [_row_context(subscription, upcoming_by_id[subscription.pk]) for subscription in page]
        return self.render(
            rows=rows,
            page_obj=page,
            q=search,
            money=format_totals((row["subscription"].currency, row["total"]) for row in rows),
            as_of=now,
        )


class UpcomingPage(AdminPage):
    """Show the upcoming invoice of one subscription."""

    template_name = "admin/billing/upcoming/one.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        now = timezone.now()
        subscriptions = Subscription.objects.with_current(now).select_related("customer")
        subscription = get_object_or_404(subscriptions, pk=kwargs["subscription_id"])
        preview = upcoming(subscription.pk, now=now)
        return self.render(
            title=f"Upcoming invoice for {subscription.customer}",
            subscription=subscription,
            coming=preview,
            main=_invoice_context(subscription, preview.invoice) if preview.invoice else None,
            earlier=[_invoice_context(subscription, invoice) for invoice in preview.earlier],
            joint=_joint_context(preview, now),
            as_of=now,
        )


def _joint_context(preview: Upcoming, now: datetime) -> dict[str, Any] | None:
    """Collect the subscriptions that will be on the same joint invoice, or None."""
    sections = upcoming_sections(preview, now=now)
    if not sections:
        return None
    subscriptions = Subscription.objects.with_current(now).select_related("customer").in_bulk(sections)
    currency = preview.subscription.currency
    rows = [
        (
            subscriptions[pk],
            dates(section.period, section.subscription.timezone),
            format_amount(section.total, currency),
        )
        for pk, section in sections.items()
        if section.period is not None
    ]
    total = sum((section.total for section in sections.values()), ZERO)
    return {"rows": rows, "total": format_amount(total, currency)}


def search_subscriptions(search: str, now: datetime) -> QuerySet[Subscription]:
    """Find active subscriptions by the customer's name or external customer ID, or by subscription ID."""
    subscriptions = Subscription.objects.live(now).with_current(now).select_related("customer")
    if search:
        is_customer = Q(customer__name__icontains=search) | Q(customer__external_id__icontains=search)
        subscriptions = subscriptions.filter(is_customer | Q(public_id=search))
    return subscriptions.order_by("customer__name", "pk")


def _row_context(subscription: Subscription, preview: Upcoming) -> dict[str, Any]:
    invoice = preview.invoice
    return {
        "subscription": subscription,
        "period": dates(preview.period, subscription.timezone) if preview.period else "–",
        "due_at": invoice.request.invoice.due_at if invoice else None,
        "total": preview.total,
        "money": money_cell(preview.total, subscription.currency),
        "lines": len(invoice.lines) if invoice else 0,
        "earlier": len(preview.earlier),
        "problem": preview.problem,
    }


def _invoice_context(subscription: Subscription, invoice: ComputedInvoice) -> dict[str, Any]:
    next_invoice = invoice.request.invoice
    return {
        "kind": InvoiceKind(next_invoice.kind).label,
        "period": dates(next_invoice.period, subscription.timezone),
        "due_at": next_invoice.due_at,
        "groups": invoice_page.group_lines(invoice_page.build_unsaved_lines(invoice.lines), subscription.currency),
        "steps": list_upcoming_total_rows(invoice.adjusted, subscription.currency),
        "note": invoice.adjusted.note,
        "total": format_amount(invoice.total, subscription.currency),
    }
