"""Invoices in the admin: the list, the page of one invoice, and actions on selected invoices."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DropdownFilter,
    FieldTextFilter,
)
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action, display

from billing.admin import documents
from billing.admin.emails import selected
from billing.admin.invoices.actions import InvoiceActions, allowed_actions
from billing.admin.invoices.exports import InvoiceExport
from billing.admin.pages import review
from billing.admin.pages.invoice import format_period, page_context
from billing.admin.shared import money_cell
from billing.explanation.status import INVOICE_COLORS
from billing.invoicing.search import search_invoices
from billing.models import Invoice, InvoiceState, InvoiceStatus, has_status, status_of
from billing.settlement import aging
from config.office.base import BaseAdmin
from config.office.filters import RangeDateTimeFilter
from config.office.pages import clean_text
from config.office.permissions import WrittenBySystem


class StatusFilter(DropdownFilter):
    """Filter invoices by their status."""

    title = "Status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(label)) for value, label in InvoiceStatus.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> QuerySet[Invoice]:
        if self.value() not in InvoiceStatus.values:
            return queryset
        return queryset.filter(has_status(InvoiceStatus(self.value()), timezone.now()))


class PaymentFilter(admin.SimpleListFilter):
    """Filter invoices by what is left to pay or refund, and how long it has been overdue."""

    title = "payment"
    parameter_name = "payment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        ages = [(f"age-{bucket}", f"Overdue {title}") for bucket, title in aging.TITLES.items() if bucket in aging.DAYS]
        return [
            *[("open", "Unpaid"), ("partly", "Partly paid"), ("overdue", "Overdue")],
            *[("age-current", "Not yet due"), *ages],
            *[("back", "Refund due"), ("held", "On hold")],
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> QuerySet[Invoice]:
        value = self.value() or ""
        if value == "overdue":
            return queryset.filter(pk__in=Invoice.objects.overdue(timezone.now()))
        if value == "open":
            return queryset.filter(pk__in=Invoice.objects.to_pay())
        if value == "partly":
            return queryset.filter(pk__in=Invoice.objects.to_pay().filter(amount_paid__gt=0))
        if value == "back":
            return queryset.filter(pk__in=Invoice.objects.to_refund())
        if value == "held":
            return queryset.filter(held_at__isnull=False)
        bucket = value.removeprefix("age-")
        if bucket in aging.BUCKETS:
            return queryset.filter(aging.age_filter(bucket, timezone.now()), pk__in=Invoice.objects.to_pay())
        return queryset


def saved_views(query: str, now: datetime) -> list[tuple[str, str, bool]]:
    """List the tabs above the list: their names, their queries, and whether they are open."""
    month_start = f"{now.astimezone(UTC):%Y-%m}-01"
    views: tuple[tuple[str, dict[str, str]], ...] = (
        ("All", {}),
        ("Drafts", {"status": InvoiceStatus.DRAFT.value}),
        ("Open", {"payment": "open"}),
        ("Overdue", {"payment": "overdue"}),
        ("Partly paid", {"payment": "partly"}),
        ("This month", {"issued_at_from_0": month_start}),
    )
    return [(name, urlencode(values), urlencode(values) == query) for name, values in views]


@admin.register(Invoice)
class InvoiceAdmin(WrittenBySystem, InvoiceActions, InvoiceExport, BaseAdmin):
    """Invoices are created by the system. Staff review, finalize, void and reissue them, and record payments."""

    change_form_template = "admin/billing/invoice/change_form.html"
    import_export_change_list_template = "admin/billing/invoice/change_list.html"
    list_display = ("title", "customer_name", "period", "kind_badge", "status_badge", "money", "money_due", "due_on")
    list_display_links = ("title",)
    list_select_related = ("customer", "subscription")
    list_filter = (
        StatusFilter,
        ("kind", ChoicesDropdownFilter),
        PaymentFilter,
        ("currency", FieldTextFilter),
        ("customer", AutocompleteSelectFilter),
        ("issued_at", RangeDateTimeFilter),
        ("due_at", RangeDateTimeFilter),
        ("period_end", RangeDateTimeFilter),
    )
    list_filter_submit = True
    view_on_site = False
    list_fullwidth = True
    list_per_page = 50
    show_full_result_count = False
    date_hierarchy = "period_end"
    search_fields = ("number",)  # shows the search box; `get_search_results` searches
    search_help_text = "Number or its ending, customer, amount, issue or due date, PO number"
    list_before_template = "admin/billing/invoice/views.html"
    ordering = ("-pk",)
    actions = ("finalize_selected", "email_selected", "pdf_selected")
    actions_list = ("new_one_off",)
    actions_detail = (
        *("pdf_one", "xml_one", "email_one", "finalize_one", "recompute_one", "pay_one", "settle_one", "credit_one"),
        "edit_one",
        *("hold_one", "pause_reminders_one", "release_one", "reissue_one", "void_one", "delete_draft_one"),
    )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list below its saved views."""
        views = saved_views(request.GET.urlencode(), timezone.now())
        response: HttpResponse = super().changelist_view(request, {"views": views, **(extra_context or {})})
        return response

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Invoice], search_term: str
    ) -> tuple[QuerySet[Invoice], bool]:
        return search_invoices(queryset, clean_text(search_term)), False

    def get_readonly_fields(self, request: HttpRequest, obj: Invoice | None = None) -> list[str]:
        return [field.name for field in Invoice._meta.fields]

    def get_actions_detail(self, request: HttpRequest, object_id: int | str) -> list[UnfoldAction]:
        """Offer only the actions that the invoice's state allows."""
        invoice = Invoice.objects.filter(pk=object_id).first()
        allowed = allowed_actions(invoice) if invoice else set()
        actions = super().get_actions_detail(request, object_id)
        return [offered for offered in actions if offered.action_name.rsplit("billing_invoice_", 1)[-1] in allowed]

    @display(description="Number", ordering="number")
    def title(self, invoice: Invoice) -> str:
        return str(invoice)

    @display(description="Customer", ordering="customer__name", header=True)
    def customer_name(self, invoice: Invoice) -> list[str]:
        return [invoice.customer.name, invoice.customer.external_id]

    @display(description="Period", ordering="period_end")
    def period(self, invoice: Invoice) -> str:
        return format_period(invoice)

    @display(description="Kind", ordering="kind")
    def kind_badge(self, invoice: Invoice) -> str:
        return invoice.get_kind_display()

    @display(description="Status", ordering="state", label=INVOICE_COLORS)
    def status_badge(self, invoice: Invoice) -> tuple[str, str]:
        status = status_of(invoice, timezone.now())
        return status, str(status.label)

    @display(description="Total", ordering="total")
    def money(self, invoice: Invoice) -> SafeString:
        return money_cell(invoice.total, invoice.currency)

    @display(description="Amount due", ordering="amount_due")
    def money_due(self, invoice: Invoice) -> SafeString | str:
        is_refund_due = invoice.state == InvoiceState.PAID and invoice.amount_remaining != 0
        is_open = invoice.state == InvoiceState.FINALIZED or is_refund_due
        return money_cell(invoice.amount_remaining, invoice.currency) if is_open else "–"

    @display(description="Due date", ordering="due_at")
    def due_on(self, invoice: Invoice) -> str:
        return str(invoice.due_on or "–")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show an invoice as its customer sees it, with the calculation of each line, and its history."""
        related = ("customer", "subscription", "run", "replaces", "finalized_by", "voided_by", "joint__replaces")
        invoice = Invoice.objects.select_related(*related).filter(pk=object_id).first() if object_id.isdigit() else None
        if invoice is not None and request.method == "POST":
            raise PermissionDenied("Invoices can't be edited here.")
        context = extra_context or {}
        if invoice is not None:
            context = {"show_history": False, **context, **page_context(invoice, now=timezone.now())}
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    @admin.action(description="Finalize selected drafts", permissions=["change"])
    def finalize_selected(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> HttpResponse | None:
        """Preview the selected invoices; once confirmed, finalize them and show the results."""
        invoices = list(queryset.select_related("customer"))
        if "confirmed" in request.POST:
            return review.finalize_selection(request, invoices)
        return review.preview_selection(self, request, invoices)

    @admin.action(description="Email selected invoices", permissions=["email"])
    def email_selected(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> HttpResponse | None:
        """Preview who gets which invoice; once confirmed, send them."""
        invoices = list(queryset.select_related("customer", "subscription"))
        if "confirmed" in request.POST:
            return selected.send_selected(request, invoices)
        return selected.preview_selected(self, request, invoices)

    @admin.action(description="Download selected as PDF", permissions=["view"])
    def pdf_selected(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> HttpResponseBase | None:
        """Download the selected invoices' PDFs as one ZIP file."""
        return documents.many_pdfs(request, queryset)

    @action(description="New one-off invoice", icon="add", permissions=["write"])
    def new_one_off(self, request: HttpRequest) -> HttpResponse:
        """Open the form for a new one-off invoice."""
        return HttpResponseRedirect(reverse("admin:billing_new_one_off"))
