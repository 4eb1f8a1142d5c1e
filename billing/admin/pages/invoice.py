"""The page of one invoice, and the views for its lines and credit notes."""

from datetime import datetime
from typing import Any

from django.db.models import F, Prefetch, Q, prefetch_related_objects
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from billing.admin import documents
from billing.admin.customer_einvoices import list_links
from billing.admin.pages.late_adjustment import corrections_of
from billing.admin.shared import CREDIT_NOTE_COLORS
from billing.explanation import page
from billing.explanation.composition import composition
from billing.explanation.proof import NotUsage, prove
from billing.explanation.status import INVOICE_COLORS
from billing.explanation.totals import list_total_rows
from billing.lines import split_lines
from billing.models import (
    CreditNoteState,
    Email,
    Invoice,
    InvoiceLine,
    InvoiceState,
    JointInvoice,
    Payment,
    Reminder,
    ReminderPause,
    status_of,
)
from billing.models.reminders import describe_days, describe_pause
from billing.money import format_amount
from billing.reminders.planning import company_day
from billing.settlement.refunds import calculate_refund_due
from billing.wording import dates
from config.office.pages import AdminView
from customers.models import Subscription
from customers.periods import Period

MOST_EMAILS = 20


def format_period(invoice: Invoice) -> str:
    """Format an invoice's period in its time zone."""
    if invoice.period_start is None or invoice.period_end is None:
        return "–"
    return dates(Period(invoice.period_start, invoice.period_end), invoice.timezone)


def list_payments(invoice: Invoice) -> list[Payment]:
    """List the payments that concern the invoice, newest first, without later uses of what they had beyond it."""
    uses = Q(source__isnull=False, amount=F("surplus")) & ~Q(reverses=F("source"))
    return list(invoice.payments.exclude(uses).select_related("recorded_by", "source"))


def _list_reminders(invoice: Invoice) -> list[Reminder]:
    reminders = list(invoice.reminders.select_related("email", "fee_invoice"))
    for reminder in reminders:
        vars(reminder)["step_text"] = describe_days(reminder.days)
    return reminders


def _find_pause(invoice: Invoice, *, now: datetime) -> tuple[str, str] | None:
    if invoice.state != InvoiceState.FINALIZED:
        return None
    pause = ReminderPause.objects.of_invoice(invoice).in_force(company_day(now)).first()
    return None if pause is None else (describe_pause(pause), pause.get_absolute_url())


def list_sections(joint: JointInvoice | None, *, now: datetime) -> list[tuple[Invoice, str]]:
    """List the sections of a joint invoice, each with its period. A draft with one section isn't joint yet."""
    if joint is None or len(joint.parts) == 1:
        return []
    prefetch_related_objects(joint.parts, Prefetch("subscription", Subscription.objects.with_current(now)))
    return [(section, format_period(section)) for section in joint.parts]


def page_context(invoice: Invoice, *, now: datetime) -> dict[str, Any]:
    """Collect the context of the invoice's page."""
    status = status_of(invoice, now)
    lines = list(invoice.lines.select_related("feature"))
    for line in lines:
        line.invoice = invoice
    credit_url = reverse("admin:billing_walletentry_changelist", query={"invoice__id__exact": invoice.pk})
    upcoming_url = ""
    if invoice.subscription_id:
        upcoming_url = reverse("admin:billing_subscription_upcoming", args=[invoice.subscription_id])
    return {
        "invoice": invoice,
        "joint": invoice.joint,
        "sections": list_sections(invoice.joint, now=now),
        "title": str(invoice),
        "period": format_period(invoice),
        "groups": page.group_lines(split_lines(lines)[0], invoice.currency),
        "steps": list_total_rows(invoice, lines, credit_url),
        "paid": format_amount(invoice.amount_due, invoice.currency),
        "composition": composition(invoice),
        "payments": list_payments(invoice),
        "emails": list(
            Email.objects.filter(
                _is_emailed(invoice) | Q(credit_note__invoice=invoice) | Q(payment__invoice=invoice)
            ).order_by("-pk")[:MOST_EMAILS]
        ),
        "reminders": _list_reminders(invoice),
        "can_be_reminded": invoice.state == InvoiceState.FINALIZED and invoice.amount_remaining > 0,
        "pause": _find_pause(invoice, now=now),
        "credit_notes": [
            (note, CREDIT_NOTE_COLORS[CreditNoteState(note.state)]) for note in invoice.credit_notes.all()
        ],
        "give_back": calculate_refund_due(invoice),
        "to_pay": format_amount(invoice.amount_remaining, invoice.currency),
        "status": status,
        "state_kind": INVOICE_COLORS[status],
        "changes": page.list_history(invoice),
        "written_by": page.find_author(invoice),
        "corrected_by": corrections_of(invoice),
        "einvoice_problems": list_links(invoice),
        "replaced_by": Invoice.objects.filter(replaces=invoice).first(),
        "upcoming_url": upcoming_url,
    }


def _is_emailed(invoice: Invoice) -> Q:
    return Q(invoice=invoice) if invoice.joint_id is None else Q(invoice__joint=invoice.joint_id)


class LineProof(AdminView):
    """Count the events of a line again, and show whether they match the line or why it has no events."""

    template_name = "admin/billing/invoice/proof.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        lines = InvoiceLine.objects.select_related("invoice", "price", "feature")
        line = get_object_or_404(lines, pk=kwargs["line_id"])
        try:
            return self.render(proof=prove(line), line=line)
        except NotUsage as refusal:
            return self.render(refused=str(refusal))


class CreditNotePdf(AdminView):
    """Download a credit note as a PDF."""

    permission = "billing.view_creditnote"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return documents.one_credit_note(request, kwargs["note_id"])
