"""Review of drafts: the list to review, and the previews and results of finalizing or holding many."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from billing.admin.pages.change_charts import change_charts
from billing.admin.pages.invoice import format_period
from billing.admin.shared import format_totals
from billing.explanation.comparison.invoices import compare_many
from billing.lifecycle.review import (
    CustomerChange,
    DraftOrder,
    DraftSearch,
    DraftView,
    Outcome,
    finalize_many,
    hold_many,
    largest_changes,
    percent_of,
    reason_to_skip,
    total_drafts,
)
from billing.models import Invoice
from billing.money import format_amount
from config.office.dialogs import ReasonForm, staff
from config.office.files import file_name, table_file
from config.office.pages import AdminPage, clean_text
from config.office.wording import plural

PER_PAGE = 50
MOST_LISTED = 200
MOST_CAUSES = 3
RESULT_KEY = "finalized_selection"
HEADINGS = ("Invoice ID", "Number", "Customer", "External customer ID", "Currency", "Total", "Outcome", "Reason")


class ReviewPage(AdminPage):
    """List drafts, those that changed most first, each next to the previous invoice; finalize or hold the selected."""

    title = "Review"
    template_name = "admin/billing/review/list.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        search = read_search(request)
        drafts = search.drafts().select_related("customer", "subscription", "held_by")
        page = Paginator(drafts, PER_PAGE).get_page(request.GET.get("page"))
        causes = list_causes(list(page))
        return self.render(
            waiting=total_drafts(),
            rows=[_row_context(invoice, causes) for invoice in page],
            page_obj=page,
            charts=change_charts(largest_changes(search.drafts()), _review_url),
            matching=format_totals(search.totals().items()),
            search=search,
            views=DraftView.choices,
            orders=DraftOrder.choices,
            is_narrowed=search.view != DraftView.ALL or bool(search.currency or search.text),
            may_change=self.may_change(),
            now=timezone.now(),
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Preview or carry out what the form asks for: `action` is finalize_selected or hold_selected."""
        if not self.may_change() or self.model_admin is None:
            raise PermissionDenied
        drafts = list(select_drafts(request))
        if not drafts:
            messages.warning(request, "Select at least one draft.")
            return HttpResponseRedirect(request.get_full_path())
        if request.POST.get("action") == "hold_selected":
            return self.hold(drafts)
        if "confirmed" in request.POST:
            return finalize_selection(request, drafts)
        return preview_selection(self.model_admin, request, drafts)

    def may_change(self) -> bool:
        return self.model_admin is not None and self.model_admin.has_change_permission(self.request)

    def hold(self, drafts: Sequence[Invoice]) -> HttpResponse:
        """Ask for a reason, then put the drafts on hold and open the list again."""
        form = ReasonForm(self.request, None, self.request.POST if "confirmed" in self.request.POST else None)
        if not form.is_valid():
            money = format_totals((draft.currency, draft.total) for draft in drafts)
            self.template_name = "admin/billing/review/hold.html"
            return self.render(title="Put drafts on hold", form=form, drafts=drafts, money=money, **listing(drafts))
        outcomes = hold_many(drafts, reason=form.cleaned_data["reason"], now=timezone.now(), by=staff(self.request))
        held = sum(not outcome.skipped for outcome in outcomes)
        messages.success(self.request, f"{plural(held, 'draft')} put on hold.")
        return HttpResponseRedirect(self.request.get_full_path())


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
            return table_file(HEADINGS, rows, name=file_name("finalization results"), file_format=request.GET["format"])
        finalized = [outcome.invoice for outcome in outcomes if not outcome.skipped]
        return self.render(
            outcomes=outcomes,
            done=finalized,
            skipped=len(outcomes) - len(finalized),
            money=format_totals((invoice.currency, invoice.total) for invoice in finalized),
        )


def _review_url(change: CustomerChange) -> str:
    query = {"q": change.external_id, "currency": change.currency}
    return reverse("admin:billing_review", query=query)


def read_search(request: HttpRequest) -> DraftSearch:
    """Read the search from the address. Unknown values are ignored."""
    view, order = request.GET.get("show", ""), request.GET.get("sort", "")
    return DraftSearch(
        view=DraftView(view) if view in DraftView.values else DraftView.ALL,
        currency=request.GET.get("currency", ""),
        text=clean_text(request.GET.get("q", "")),
        order=DraftOrder(order) if order in DraftOrder.values else DraftOrder.CHANGE,
    )


def select_drafts(request: HttpRequest) -> QuerySet[Any]:
    """Return the selected invoices, or with `all_matching` every draft that the search in the address matches."""
    if request.POST.get("all_matching"):
        return read_search(request).drafts().select_related("customer")
    ids = [key for key in request.POST.getlist("_selected_action") if key.isdecimal() and len(key) < 19]
    return Invoice.objects.filter(pk__in=ids).select_related("customer")


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
        **listing(rows),
        "drafts": drafts,
        "skipped": len(rows) - len(drafts),
        "done_already": sum(not invoice.is_draft for invoice in invoices),
        "held": sum(invoice.held_at is not None for invoice in invoices),
        "money": format_totals((invoice.currency, invoice.total) for invoice in drafts),
    }
    return TemplateResponse(request, "admin/billing/invoice/finalize_selected.html", context)


def listing(rows: Sequence[Any]) -> dict[str, Any]:
    """Return the rows that a confirmation lists, and how many it leaves out."""
    return {"listed": rows[:MOST_LISTED], "more": max(len(rows) - MOST_LISTED, 0)}


def finalize_selection(request: HttpRequest, invoices: Sequence[Invoice]) -> HttpResponse:
    """Finalize the selected invoices and open the page with the results."""
    outcomes = finalize_many(invoices, now=timezone.now(), by=staff(request))
    request.session[RESULT_KEY] = [(outcome.invoice.pk, outcome.skipped) for outcome in outcomes]
    return HttpResponseRedirect(reverse("admin:billing_review_result"))


def list_causes(drafts: Sequence[Any]) -> dict[int, str]:
    """Describe why drafts differ from their previous invoices, by primary key: the largest causes first."""
    before = Invoice.objects.in_bulk([draft.before_id for draft in drafts if draft.change])
    pairs = [(before[draft.before_id], draft) for draft in drafts if draft.before_id in before]
    comparisons = compare_many(pairs)
    return {
        draft.pk: " · ".join(
            f"{cause.label} {'+' if amount > 0 else ''}{format_amount(amount, draft.currency)}"
            for cause, amount in comparison.largest[:MOST_CAUSES]
        )
        for (_, draft), comparison in zip(pairs, comparisons, strict=True)
    }


def _row_context(invoice: Any, causes: dict[int, str]) -> dict[str, Any]:
    previous_total: Decimal | None = invoice.before_total
    return {
        "invoice": invoice,
        "before": previous_total,
        "change": invoice.change,
        "percent": percent_of(invoice.change, previous_total),
        "causes": causes.get(invoice.pk, ""),
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
