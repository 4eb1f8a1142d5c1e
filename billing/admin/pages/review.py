"""Review of drafts: the list to review, and the preview and results of finalizing selected invoices."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib.admin import ModelAdmin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from billing.admin.pages.invoice import format_period
from billing.admin.shared import format_totals
from billing.lifecycle.review import (
    Outcome,
    finalize_many,
    most_changed_first,
    reason_to_skip,
    total_drafts,
    with_previous,
)
from billing.models import Invoice
from config.office.dialogs import staff
from config.office.files import table_file
from config.office.pages import AdminPage

PER_PAGE = 50
RESULT_KEY = "finalized_selection"
HEADINGS = ("Invoice ID", "Number", "Customer", "External ID", "Currency", "Total", "Outcome", "Reason")


class ReviewPage(AdminPage):
    """List drafts, those that changed most first, each next to the previous invoice."""

    title = "Drafts to review"
    template_name = "admin/billing/review/list.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        show, currency = request.GET.get("show", ""), request.GET.get("currency", "")
        drafts = most_changed_first(with_previous(filter_drafts(show, currency)))
        page = Paginator(drafts, PER_PAGE).get_page(request.GET.get("page"))
        return self.render(
            total_drafts=total_drafts(),
            rows=[_row_context(invoice) for invoice in page],
            page_obj=page,
            show=show,
            currency=currency,
            may_change=self.model_admin.has_change_permission(request) if self.model_admin else False,
            now=timezone.now(),
        )


class ReviewResult(AdminPage):
    """Show the results of the user's last bulk finalization, or download them if `format` is csv or xlsx."""

    title = "Finalization results"
    template_name = "admin/billing/review/result.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        results: list[tuple[int, str]] = request.session.get(RESULT_KEY, [])
        invoices = Invoice.objects.select_related("customer").in_bulk([pk for pk, _ in results])
        outcomes = [Outcome(invoices[pk], skipped) for pk, skipped in results if pk in invoices]
        if request.GET.get("format") in ("csv", "xlsx"):
            rows = (_file_row(outcome) for outcome in outcomes)
            return table_file(HEADINGS, rows, name="finalized", file_format=request.GET["format"])
        finalized = [outcome.invoice for outcome in outcomes if not outcome.skipped]
        return self.render(
            outcomes=outcomes,
            done=finalized,
            skipped=len(outcomes) - len(finalized),
            money=format_totals((invoice.currency, invoice.total) for invoice in finalized),
        )


def preview_selection(
    model_admin: "ModelAdmin[Invoice]", request: HttpRequest, invoices: Sequence[Invoice]
) -> HttpResponse:
    """Show which of the selected invoices will be finalized, and why the others will be skipped."""
    rows = [(invoice, reason_to_skip(invoice)) for invoice in invoices]
    drafts = [invoice for invoice, reason in rows if not reason]
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Finalize invoices",
        "opts": model_admin.opts,
        "rows": rows,
        "drafts": drafts,
        "skipped": len(rows) - len(drafts),
        "done_already": sum(not invoice.is_draft for invoice in invoices),
        "held": sum(invoice.held_at is not None for invoice in invoices),
        "money": format_totals((invoice.currency, invoice.total) for invoice in drafts),
    }
    return TemplateResponse(request, "admin/billing/invoice/finalize_selected.html", context)


def finalize_selection(request: HttpRequest, invoices: Sequence[Invoice]) -> HttpResponse:
    """Finalize the selected invoices and open the page with the results."""
    outcomes = finalize_many(invoices, now=timezone.now(), by=staff(request))
    request.session[RESULT_KEY] = [(outcome.invoice.pk, outcome.skipped) for outcome in outcomes]
    return HttpResponseRedirect(reverse("admin:billing_review_result"))


def filter_drafts(show: str, currency: str) -> QuerySet[Invoice]:
    """Return drafts: those on hold if `show` is held, the others if it is ready; of one currency if given."""
    drafts = Invoice.objects.drafts().select_related("customer", "subscription", "held_by")
    if show in ("held", "ready"):
        drafts = drafts.filter(held_at__isnull=show == "ready")
    return drafts.filter(currency=currency) if currency else drafts


def _row_context(invoice: Any) -> dict[str, Any]:
    previous_total: Decimal | None = invoice.before_total
    return {
        "invoice": invoice,
        "before": previous_total,
        "change": invoice.change,
        "percent": round(invoice.change * 100 / previous_total) if previous_total and invoice.change else None,
        "period": format_period(invoice) if invoice.period_start and invoice.period_end else "",
    }


def _file_row(outcome: Outcome) -> list[Any]:
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
