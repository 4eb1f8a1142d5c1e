"""The review of drafts in the admin, and what became of a selection that was finalized."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from billing.admin.shared import sums
from billing.explanation.text import get_timezone
from billing.lifecycle.review import Outcome, finalize_many, most_changed_first, waiting, why_not, with_before
from billing.models import Invoice
from billing.wording import dates
from config.office.base import staff
from config.office.files import table_file
from customers.periods import Period

if TYPE_CHECKING:
    from billing.admin.invoices import InvoiceAdmin

PER_PAGE = 50
RESULT = "finalized_selection"
HEADINGS = ("Invoice id", "Number", "Customer", "External id", "Currency", "Total", "Outcome", "Why")


def urls(page: "InvoiceAdmin") -> list[URLPattern]:
    """List the pages' addresses, under the invoice list's."""

    def review_view(request: HttpRequest) -> HttpResponse:
        return review_page(page, request)

    def result_view(request: HttpRequest) -> HttpResponseBase:
        return result_page(page, request)

    view = page.admin_site.admin_view
    return [
        path("review/", view(review_view), name="billing_review"),
        path("review/result/", view(result_view), name="billing_review_result"),
    ]


def review_page(page: "InvoiceAdmin", request: HttpRequest) -> HttpResponse:
    """Show the drafts that wait, the most changed first, each beside the invoice before it, a page at a time."""
    if not page.has_view_permission(request):
        raise PermissionDenied
    drafts: QuerySet[Any] = Invoice.objects.drafts().select_related("customer", "subscription", "held_by")
    which = request.GET.get("show", "")
    if which in ("held", "ready"):
        drafts = drafts.filter(held_at__isnull=which == "ready")
    if currency := request.GET.get("currency", ""):
        drafts = drafts.filter(currency=currency)
    paginator = Paginator(most_changed_first(with_before(drafts)), PER_PAGE)
    chosen = paginator.get_page(request.GET.get("page"))
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": "Drafts to review",
        "waiting": waiting(),
        "rows": [_row(invoice) for invoice in chosen],
        "page_obj": chosen,
        "show": which,
        "currency": currency,
        "may_change": page.has_change_permission(request),
        "now": timezone.now(),
    }
    return TemplateResponse(request, "admin/billing/review/list.html", context)


def _row(invoice: Any) -> dict[str, Any]:
    before: Decimal | None = invoice.before_total
    percent = round(invoice.change * 100 / before) if before and invoice.change else None
    period = ""
    if invoice.period_start and invoice.period_end:
        period = dates(Period(invoice.period_start, invoice.period_end), get_timezone(invoice))
    return {"invoice": invoice, "before": before, "change": invoice.change, "percent": percent, "period": period}


def preview(page: "InvoiceAdmin", request: HttpRequest, chosen: Sequence[Invoice]) -> HttpResponse:
    """Show what finalizing the chosen invoices will do: of each that it is finalized, or why it is passed over."""
    rows = [(invoice, why_not(invoice)) for invoice in chosen]
    drafts = [invoice for invoice, reason in rows if not reason]
    context = {
        **page.admin_site.each_context(request),
        "title": "Finalize invoices",
        "opts": page.opts,
        "rows": rows,
        "drafts": drafts,
        "skipped": len(rows) - len(drafts),
        "done_already": sum(not invoice.is_draft for invoice in chosen),
        "held": sum(invoice.held_at is not None for invoice in chosen),
        "money": sums((invoice.currency, invoice.total) for invoice in drafts),
    }
    return TemplateResponse(request, "admin/billing/invoice/finalize_selected.html", context)


def carry_out(request: HttpRequest, chosen: Sequence[Invoice]) -> HttpResponse:
    """Finalize the chosen invoices and lead to the page that says what became of each."""
    outcomes = finalize_many(chosen, now=timezone.now(), by=staff(request))
    request.session[RESULT] = [(outcome.invoice.pk, outcome.skipped) for outcome in outcomes]
    return HttpResponseRedirect(reverse("admin:billing_review_result"))


def result_page(page: "InvoiceAdmin", request: HttpRequest) -> HttpResponseBase:
    """Show what became of the invoices that this member of staff finalized last; as `format` csv or xlsx, a file."""
    if not page.has_view_permission(request):
        raise PermissionDenied
    kept: list[tuple[int, str]] = request.session.get(RESULT, [])
    rows = Invoice.objects.select_related("customer").in_bulk([pk for pk, _ in kept])
    outcomes = [Outcome(rows[pk], skipped) for pk, skipped in kept if pk in rows]
    if request.GET.get("format") in ("csv", "xlsx"):
        table = (_cells(outcome) for outcome in outcomes)
        return table_file(HEADINGS, table, name="finalized", file_format=request.GET["format"])
    done = [outcome.invoice for outcome in outcomes if not outcome.skipped]
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": "Finalized",
        "outcomes": outcomes,
        "done": done,
        "skipped": len(outcomes) - len(done),
        "money": sums((invoice.currency, invoice.total) for invoice in done),
    }
    return TemplateResponse(request, "admin/billing/review/result.html", context)


def _cells(outcome: Outcome) -> list[Any]:
    invoice = outcome.invoice
    return [
        invoice.public_id,
        invoice.number,
        invoice.customer.name,
        invoice.customer.external_id,
        invoice.currency,
        invoice.total,
        "skipped" if outcome.skipped else "finalized",
        outcome.skipped,
    ]
