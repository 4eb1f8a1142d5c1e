"""Invoices in the admin: the list, the page, and what staff may do with one or many."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    FieldTextFilter,
)
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from billing.admin import documents, settling
from billing.admin.exports import ExportsMoney
from billing.admin.late import corrections_of
from billing.admin.pages import (
    aging as aging_pages,
)
from billing.admin.pages import (
    credit,
    month_end,
    one_off,
    plan_changes,
    review,
    statement,
    upcoming,
)
from billing.admin.settling import SettlingActions
from billing.admin.shared import NOTE_COLOURS, STATE_LABELS, VoidForm, money
from billing.explanation import page
from billing.explanation.proof import NotUsage, prove
from billing.explanation.text import get_timezone
from billing.explanation.totals import list_total_rows
from billing.lifecycle import finalize, recompute, void
from billing.lines import charges_of
from billing.models import CreditNoteState, Invoice, InvoiceLine, InvoiceState
from billing.money import format_amount
from billing.settlement import aging
from billing.settlement.payments import calculate_refund_due
from billing.wording import dates
from config.office.filters import RangeDateTimeFilter
from config.office.permissions import WrittenBySystem
from customers.periods import Period

LINE_RELATED = ("invoice__customer", "invoice__subscription", "feature")
ALLOWED = {
    InvoiceState.DRAFT: {"finalize_one", "recompute_one"},
    InvoiceState.FINALIZED: {"void_one", "reissue_one"},
    InvoiceState.PAID: set(),
    InvoiceState.VOID: {"reissue_one"},
}


class FinalizeForm(BaseDialogForm):
    """Show what finalizing does to an invoice before it is done."""

    form_before_template = "admin/billing/invoice/finalize_one.html"

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return {"invoice": get_object_or_404(Invoice.objects.select_related("customer"), pk=object_id)}


class OverdueFilter(admin.SimpleListFilter):
    """Keep what is past its due date and not fully paid."""

    title = "payment"
    parameter_name = "payment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        ages = [(f"age-{bucket}", f"Overdue {title}") for bucket, title in aging.TITLES.items() if bucket in aging.DAYS]
        return [
            *[("overdue", "Overdue"), ("open", "To be paid"), ("age-current", "Not due yet"), *ages],
            *[("back", "To give back"), ("held", "Held back")],
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> QuerySet[Invoice]:
        if self.value() == "overdue":
            return queryset.filter(pk__in=Invoice.objects.overdue(timezone.now()))
        value = self.value() or ""
        if value == "open":
            return queryset.filter(pk__in=Invoice.objects.to_pay())
        if value == "back":
            return queryset.filter(pk__in=Invoice.objects.to_refund())
        if value == "held":
            return queryset.filter(held_at__isnull=False)
        bucket = value.removeprefix("age-")
        if bucket in aging.BUCKETS:
            return queryset.filter(aging.age_filter(bucket, timezone.now()), pk__in=Invoice.objects.to_pay())
        return queryset


@admin.register(Invoice)
class InvoiceAdmin(WrittenBySystem, SettlingActions, ExportsMoney, ModelAdmin):
    """What customers owe. The system writes invoices; staff review, finalize, void, reissue and mark them paid."""

    change_form_template = "admin/billing/invoice/change_form.html"
    import_export_change_list_template = "admin/billing/invoice/change_list.html"
    list_display = ("title", "customer_name", "period", "kind_badge", "state_badge", "money", "money_due", "due_on")
    list_display_links = ("title",)
    list_select_related = ("customer", "subscription")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        OverdueFilter,
        ("currency", FieldTextFilter),
        ("customer", AutocompleteSelectFilter),
        ("period_end", RangeDateTimeFilter),
    )
    list_filter_submit = True
    view_on_site = False
    list_fullwidth = True
    list_per_page = 50
    show_full_result_count = False
    date_hierarchy = "period_end"
    search_fields = ("number", "public_id", "customer__name", "customer__external_id")
    search_help_text = "Invoice number, customer's name or external id"
    ordering = ("-pk",)
    actions = ("finalize_selected", "pdf_selected")
    actions_list = ("new_one_off",)
    actions_detail = (
        *("pdf_one", "finalize_one", "recompute_one", "pay_one", "credit_one", "edit_one", "hold_one", "release_one"),
        *("reissue_one", "void_one", "delete_draft_one"),
    )

    # --- Who may do what -------------------------------------------------------------------------------

    def get_readonly_fields(self, request: HttpRequest, obj: Invoice | None = None) -> list[str]:
        return [field.name for field in Invoice._meta.fields]

    def get_actions_detail(self, request: HttpRequest, object_id: int | str) -> list[UnfoldAction]:
        """Offer only what the invoice's state allows."""
        invoice = Invoice.objects.filter(pk=object_id).first()
        allowed = ALLOWED[InvoiceState(invoice.state)] if invoice else set()
        if invoice is not None and invoice.state == InvoiceState.PAID and not settling.was_settled(invoice):
            allowed = {"void_one", "reissue_one"}  # nothing was paid but from prepaid credit, which goes back
        if Invoice.objects.filter(replaces__pk=object_id).exists():
            allowed = set()
        if invoice is not None:
            allowed = allowed | settling.offered(invoice) | {"pdf_one"}
            allowed -= {"recompute_one", "reissue_one"} if invoice.subscription_id is None else set()
            allowed -= {"finalize_one"} if invoice.held_at else set()
        offered = super().get_actions_detail(request, object_id)
        return [each for each in offered if each.action_name.rsplit("billing_invoice_", 1)[-1] in allowed]

    # --- The list --------------------------------------------------------------------------------------

    @display(description="Number", ordering="number")
    def title(self, invoice: Invoice) -> str:
        return str(invoice)

    @display(description="Customer", ordering="customer__name", header=True)
    def customer_name(self, invoice: Invoice) -> list[str]:
        return [invoice.customer.name, invoice.customer.external_id]

    @display(description="Period", ordering="period_end")
    def period(self, invoice: Invoice) -> str:
        return period_text(invoice)

    @display(description="Kind", ordering="kind")
    def kind_badge(self, invoice: Invoice) -> str:
        return invoice.get_kind_display()

    @display(description="State", ordering="state", label=STATE_LABELS)
    def state_badge(self, invoice: Invoice) -> tuple[str, str]:
        return invoice.state, invoice.get_state_display()

    @display(description="Total", ordering="total")
    def money(self, invoice: Invoice) -> SafeString:
        return money(invoice.total, invoice.currency)

    @display(description="To pay", ordering="amount_due")
    def money_due(self, invoice: Invoice) -> SafeString | str:
        is_open = invoice.state == InvoiceState.FINALIZED or (
            invoice.state == InvoiceState.PAID and not is_even(invoice)
        )
        return money(invoice.amount_remaining, invoice.currency) if is_open else "—"

    @display(description="Due", ordering="due_at")
    def due_on(self, invoice: Invoice) -> str:
        return f"{invoice.due_at:%Y-%m-%d}" if invoice.due_at else "—"

    # --- The page --------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show an invoice as its customer reads it, each line with how it came about, and its history below."""
        related = ("customer", "subscription", "run", "replaces", "finalized_by", "voided_by")
        invoice = Invoice.objects.select_related(*related).filter(pk=object_id).first() if object_id.isdigit() else None
        if invoice is None:
            missing: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
            return missing
        if request.method == "POST":
            raise PermissionDenied("Invoices are written by the system.")
        context = {"show_history": False, **(extra_context or {}), **page_context(invoice)}
        shown: HttpResponse = super().change_view(request, object_id, form_url, context)
        return shown

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("line/<int:line_id>/proof/", view(self.proof_view), name="billing_line_proof"),
            path("line/<int:line_id>/events.csv", view(self.line_events_view), name="billing_line_events"),
            path("credit-note/<int:note_id>/pdf/", view(self.credit_note_pdf_view), name="billing_credit_note_pdf"),
            *upcoming.urls(self),
            *credit.urls(self),
            *one_off.urls(self),
            *review.urls(self),
            *aging_pages.urls(self),
            *plan_changes.urls(self),
            *statement.urls(self),
            *month_end.urls(self),
        ]
        return [*own, *super().get_urls()]

    def proof_view(self, request: HttpRequest, line_id: int) -> HttpResponse:
        """Count a line's events again and show whether the line agrees, or why none are counted for it.

        For staff who may view invoices.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        line = get_object_or_404(InvoiceLine.objects.select_related("invoice", "price", "feature"), pk=line_id)
        try:
            shown = {"proof": prove(line), "line": line}
        except NotUsage as refused:
            shown = {"refused": str(refused)}
        return render(request, "admin/billing/invoice/proof.html", shown)

    def credit_note_pdf_view(self, request: HttpRequest, note_id: int) -> HttpResponse:
        """Answer a credit note as a PDF. For staff who may view credit notes."""
        if not request.user.has_perm("billing.view_creditnote"):
            raise PermissionDenied
        return documents.one_credit_note(request, note_id)

    def line_events_view(self, request: HttpRequest, line_id: int) -> HttpResponseBase:
        """Answer the events that a line counts as CSV. For staff who may view invoices and events."""
        if not self.has_view_permission(request) or not request.user.has_perm("events.view_event"):
            raise PermissionDenied
        return documents.line_events(get_object_or_404(InvoiceLine.objects.select_related(*LINE_RELATED), pk=line_id))

    # --- What staff can do -----------------------------------------------------------------------------

    @admin.action(description="Finalize selected drafts", permissions=["change"])
    def finalize_selected(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> HttpResponse | None:
        """Show what finalizing the selected invoices will do; once confirmed, do it and say what became of each."""
        chosen = list(queryset.select_related("customer"))
        if "confirmed" in request.POST:
            return review.carry_out(request, chosen)
        return review.preview(self, request, chosen)

    @admin.action(description="Download selected as PDF", permissions=["view"])
    def pdf_selected(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> HttpResponseBase | None:
        """Answer the selected invoices' PDFs as one ZIP."""
        return documents.many_pdfs(request, queryset)

    @action(description="New one-off invoice", icon="add", permissions=["write"])
    def new_one_off(self, request: HttpRequest) -> HttpResponse:
        """Lead to the page that writes a one-off invoice."""
        return HttpResponseRedirect(reverse("admin:billing_new_one_off"))

    @action(description="PDF", icon="picture_as_pdf", permissions=["view"])
    def pdf_one(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Answer the invoice as a PDF."""
        return documents.one_pdf(request, object_id)

    @action(
        description="Finalize",
        icon="verified",
        variant=ActionVariant.PRIMARY,
        permissions=["change"],
        dialog={"title": "Finalize this invoice", "form_class": FinalizeForm, "form_submit_text": "Finalize"},
    )
    def finalize_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        return self._change(request, object_id, finalize.finalize, "{} is finalized.")

    @action(
        description="Recompute",
        icon="refresh",
        permissions=["change"],
        dialog={
            "title": "Recompute this draft",
            "description": "Works the lines out anew from the usage and the plan as they are now.",
            "form_submit_text": "Recompute",
        },
    )
    def recompute_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        return self._change(request, object_id, recompute.recompute, "{} was worked out anew.", signed=False)

    @action(
        description="Reissue",
        icon="published_with_changes",
        permissions=["change"],
        dialog={
            "title": "Void and reissue",
            "description": "Voids this invoice and drafts its replacement from what is known now, both or neither.",
            "form_class": VoidForm,
            "form_submit_text": "Reissue",
        },
    )
    def reissue_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        reason = form.cleaned_data["reason"]
        return self._change(request, object_id, void.reissue, "{} replaces the void invoice.", reason=reason)

    @action(
        description="Void",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["change"],
        dialog={
            "title": "Void this invoice",
            "description": "It keeps its number and can't be restored. Nothing replaces it until you reissue it. "
            "Prepaid credit and discounts that it used go back to the customer; credit that it gave is taken back.",
            "form_class": VoidForm,
            "form_submit_text": "Void",
        },
    )
    def void_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        return self._change(request, object_id, void.void, "{} is void.", reason=form.cleaned_data["reason"])


def is_even(invoice: Invoice) -> bool:
    """Tell whether nothing is to be paid, nor to be given back."""
    return invoice.amount_remaining == 0


def period_text(invoice: Invoice) -> str:
    """Write an invoice's period in its own time zone."""
    if invoice.period_start is None or invoice.period_end is None:
        return "—"
    return dates(Period(invoice.period_start, invoice.period_end), get_timezone(invoice))


def page_context(invoice: Invoice) -> dict[str, Any]:
    """Collect what the invoice's page shows."""
    lines = list(invoice.lines.select_related("feature").all())
    for line in lines:
        line.invoice = invoice
    return {
        "invoice": invoice,
        "title": str(invoice),
        "period": period_text(invoice),
        "groups": page.group_lines(charges_of(lines)[0], invoice.currency),
        "steps": list_total_rows(invoice, lines, _credits_url(invoice)),
        "paid": format_amount(invoice.amount_due, invoice.currency),
        "payments": list(invoice.payments.select_related("recorded_by")),
        "credit_notes": [(note, NOTE_COLOURS[CreditNoteState(note.state)]) for note in invoice.credit_notes.all()],
        "give_back": calculate_refund_due(invoice),
        "to_pay": format_amount(invoice.amount_remaining, invoice.currency),
        "state_kind": STATE_LABELS[InvoiceState(invoice.state)],
        "changes": page.list_history(invoice),
        "written_by": page.find_author(invoice),
        "corrected_by": corrections_of(invoice),
        "replaced_by": Invoice.objects.filter(replaces=invoice).first(),
        "upcoming_url": reverse("admin:billing_subscription_upcoming", args=[invoice.subscription_id])
        if invoice.subscription_id
        else "",
    }


def _credits_url(invoice: Invoice) -> str:
    """Lead to the movements of credit that the invoice made."""
    return reverse("admin:billing_walletentry_changelist", query={"invoice__id__exact": invoice.pk})
