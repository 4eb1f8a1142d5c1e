"""Credit notes in the admin: the list, the page of one, and its actions."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.dataclasses import UnfoldAction
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from billing.admin import documents
from billing.admin.emails.email_admin import may_send, send_from_dialog
from billing.admin.emails.forms import SendCreditNoteForm
from billing.admin.forms.credit_notes import FinalizeNoteForm, describe_effect
from billing.admin.forms.payments import RefundForm
from billing.admin.shared import CREDIT_NOTE_COLORS, link, money_cell, rounded
from billing.explanation import page
from billing.models import CreditNote, CreditNoteState, EInvoice
from billing.settlement.credit_notes import calculate_effect, finalize_credit_note, void_credit_note
from billing.settlement.refunds import record_refund, sum_refunds
from config.office.base import OfficeAdmin
from config.office.dialogs import ReasonForm, action, carry_out, staff
from config.office.filters import RangeDateTimeFilter
from config.office.permissions import WrittenBySystem


@admin.register(CreditNote)
class CreditNoteAdmin(WrittenBySystem, OfficeAdmin):
    """Credit notes on invoices. They are created on the invoice's page."""

    change_form_template = "admin/billing/creditnote/change_form.html"
    list_display = (
        "title",
        "customer_name",
        "invoice_link",
        "show_reason",
        "state_badge",
        "money",
        "money_back",
        "day",
    )
    list_display_links = ("title",)
    list_select_related = ("customer", "invoice__subscription", "invoice__customer")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("reason", ChoicesDropdownFilter),
        ("customer", AutocompleteSelectFilter),
        ("finalized_at", RangeDateTimeFilter),
    )
    search_fields = ("number", "public_id", "invoice__number", "customer__name", "customer__external_id")
    search_help_text = "Number, invoice number, or the customer's name or external customer ID"
    ordering = ("-pk",)
    actions_detail = ("pdf_one", "xml_one", "email_one", "finalize_one", "refund_one", "void_one")
    export_columns = (
        ("ID", "public_id"),
        ("Number", "number"),
        ("Status", lambda note: note.get_state_display()),
        ("Invoice", lambda note: note.invoice.number),
        ("Customer", lambda note: note.customer.name),
        ("External customer ID", lambda note: note.customer.external_id),
        ("Reason", lambda note: note.get_reason_display()),
        ("Currency", "currency"),
        ("Before tax", rounded("subtotal")),
        ("Tax", rounded("tax_total")),
        ("Total", rounded("total")),
        ("Refund due", rounded("refund_due")),
        ("Issue date", lambda note: note.issued_on),
        ("Finalized at (UTC)", "finalized_at"),
    )
    empty_icon = "undo"
    empty_title = "No credit notes yet"
    empty_text = "Open a finalized or paid invoice and select “Credit note”."
    empty_link = ("Invoices", "billing_invoice_changelist")

    def get_readonly_fields(self, request: HttpRequest, obj: CreditNote | None = None) -> list[str]:
        return [field.name for field in CreditNote._meta.fields]

    @display(description="Number", ordering="number")
    def title(self, note: CreditNote) -> str:
        return str(note)

    @display(description="Customer", ordering="customer__name", header=True)
    def customer_name(self, note: CreditNote) -> list[str]:
        return [note.customer.name, note.customer.external_id]

    @display(description="Invoice", ordering="invoice__number")
    def invoice_link(self, note: CreditNote) -> SafeString | str:
        return link(note.invoice)

    @display(description="Reason", ordering="reason")
    def show_reason(self, note: CreditNote) -> str:
        return note.get_reason_display()

    @display(description="Status", ordering="state", label=CREDIT_NOTE_COLORS)
    def state_badge(self, note: CreditNote) -> tuple[str, str]:
        return note.state, note.get_state_display()

    @display(description="Total", ordering="total")
    def money(self, note: CreditNote) -> SafeString:
        return money_cell(note.total, note.currency)

    @display(description="Refund due", ordering="refund_due")
    def money_back(self, note: CreditNote) -> SafeString | str:
        return money_cell(note.refund_due, note.currency) if note.refund_due else "–"

    @display(description="Issue date", ordering="finalized_at")
    def day(self, note: CreditNote) -> str:
        return str(note.issued_on or "–")

    def has_refund_permission(self, request: HttpRequest, object_id: int | str | None = None) -> bool:
        return request.user.has_perm("billing.add_payment")

    def get_actions_detail(self, request: HttpRequest, object_id: int | str) -> list[UnfoldAction]:
        """Offer only what the credit note's state allows."""
        note = CreditNote.objects.filter(pk=object_id).first()
        allowed = {"pdf_one"}
        if note is not None and EInvoice.objects.present().filter(credit_note=note).exists():
            allowed.add("xml_one")
        if note is not None and note.state != CreditNoteState.VOID:
            allowed |= {"void_one", "finalize_one" if note.is_draft else "email_one"}
            if note.refund_due > sum_refunds(note):
                allowed.add("refund_one")
        actions = super().get_actions_detail(request, object_id)
        return [offered for offered in actions if offered.action_name.rsplit("billing_creditnote_", 1)[-1] in allowed]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a credit note as its customer sees it, with its refunds."""
        related = ("customer", "invoice", "created_by", "finalized_by", "voided_by")
        notes = CreditNote.objects.select_related(*related)
        note = notes.filter(pk=object_id).first() if object_id.isdigit() else None
        if note is not None and request.method == "POST":
            raise PermissionDenied("Credit notes can't be edited here.")
        context = {"show_history": False, **(extra_context or {}), **(page_context(note) if note else {})}
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    @action(description="PDF", icon="picture_as_pdf", permissions=["view"])
    def pdf_one(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Download the credit note as a PDF."""
        return documents.one_credit_note(request, object_id)

    @action(description="XML", icon="code", permissions=["view"])
    def xml_one(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Download the electronic credit note."""
        return documents.credit_note_xml(request, object_id)

    def has_email_permission(self, request: HttpRequest, object_id: int | str | None = None) -> bool:
        return may_send(request)

    @action(
        description="Email",
        icon="forward_to_inbox",
        permissions=["email"],
        dialog={"title": "Email this credit note", "form_class": SendCreditNoteForm, "form_submit_text": "Send"},
    )
    def email_one(self, request: HttpRequest, form: SendCreditNoteForm, object_id: int) -> HttpResponse:
        """Send the credit note to its customer."""
        return send_from_dialog(request, form)

    @action(
        description="Finalize",
        icon="verified",
        variant=ActionVariant.PRIMARY,
        permissions=["change"],
        dialog={
            "title": "Finalize this credit note?",
            "form_class": FinalizeNoteForm,
            "form_submit_text": "Finalize",
        },
    )
    def finalize_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        note = get_object_or_404(CreditNote.objects.select_related("invoice"), pk=object_id)
        return carry_out(
            request,
            lambda: finalize_credit_note(note, now=timezone.now(), by=staff(request)),
            done="The credit note was finalized.",
            then=note.get_absolute_url(),
        )

    @action(
        description="Record refund",
        icon="payments",
        variant=ActionVariant.PRIMARY,
        permissions=["refund"],
        confirmed=True,
        dialog={"title": "Record a refund", "form_class": RefundForm, "form_submit_text": "Record refund"},
    )
    def refund_one(self, request: HttpRequest, form: RefundForm, object_id: int) -> HttpResponse:
        """Record a refund. Submitting the same dialog twice records one refund."""
        note, reason = form.subject, form.cleaned_data["reason"]
        return carry_out(
            request,
            lambda: record_refund(
                note.invoice, form.receipt(), reason=reason, credit_note=note, now=timezone.now(), by=staff(request)
            ),
            done=f"Refund recorded for {note}.",
            then=note.get_absolute_url(),
        )

    @action(
        description="Void",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["change"],
        dialog={
            "title": "Void this credit note?",
            "description": "The credit note keeps its number and can't be restored. "
            "The amount becomes due on the invoice again.",
            "form_class": ReasonForm,
            "form_submit_text": "Void",
        },
    )
    def void_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        note, reason = get_object_or_404(CreditNote, pk=object_id), form.cleaned_data["reason"]
        return carry_out(
            request,
            lambda: void_credit_note(note, reason=reason, now=timezone.now(), by=staff(request)),
            done=f"{note} is voided.",
            then=note.get_absolute_url(),
        )


def page_context(note: CreditNote) -> dict[str, Any]:
    """Collect the context of the credit note's page."""
    refunded_amount = sum_refunds(note)
    effect = ""
    if note.is_draft:
        effect = describe_effect(note.invoice, calculate_effect(note.invoice, note.total), note.refund_to)
    return {
        "note": note,
        "title": str(note),
        "lines": list(note.lines.select_related("invoice_line")),
        "refunds": list(note.refunds.select_related("recorded_by")),
        "refunded": refunded_amount,
        "to_give_back": note.refund_due - refunded_amount,
        "effect": effect,
        "state_kind": CREDIT_NOTE_COLORS[CreditNoteState(note.state)],
        "note_changes": page.list_history(note),
    }
