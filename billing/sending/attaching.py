"""The files of an email: the PDF of its document, made when the email is sent, and its electronic invoice."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from billing.documents import credit_notes, invoices
from billing.emails.composing import check_unpaid
from billing.models import (
    CompanyProfile,
    CreditNote,
    CreditNoteState,
    EInvoice,
    Email,
    EmailKind,
    Invoice,
    InvoiceState,
    Payment,
    ReminderPause,
)
from billing.models.emails import REMINDER_KINDS
from billing.refusals import CannotEmail
from billing.statements import formats
from billing.statements.statement import build_statement
from customers.kinds import EInvoiceFormat
from customers.periods import local_date


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of an email."""

    name: str
    content: bytes
    content_type: str = "application/pdf"


def check_sendable(email: Email, *, now: datetime) -> None:
    """Raise `CannotEmail` if the email must not be sent any more: things changed while it waited."""
    customer = email.customer
    if customer is not None and customer.erased_at is not None:
        raise CannotEmail("The customer's personal data was erased.")
    if customer is not None and not customer.receives_email:
        raise CannotEmail(f"Emails were turned off for {customer}.")
    if email.invoice is not None and email.invoice.state == InvoiceState.VOID:
        raise CannotEmail(f"{email.invoice} was voided.")
    if email.invoice is not None and email.kind in REMINDER_KINDS:
        check_unpaid(email.invoice)
        check_not_paused(email.invoice, now=now)
    if email.credit_note is not None and email.credit_note.state == CreditNoteState.VOID:
        raise CannotEmail(f"{email.credit_note} was voided.")
    if email.payment is not None and Payment.objects.filter(reverses=email.payment).exists():
        raise CannotEmail("The payment was reversed.")


def check_not_paused(invoice: Invoice, *, now: datetime) -> None:
    """Raise `CannotEmail` if reminders of the invoice, or of its customer, are paused."""
    today = local_date(now, CompanyProfile.current().timezone)
    pause = ReminderPause.objects.of_invoice(invoice).in_force(today).first()
    if pause is not None:
        raise CannotEmail(f"Reminders are paused ({pause.get_kind_display().lower()}).")


def make_attachments(email: Email) -> list[Attachment]:
    """Make the files of an email: the PDF, then the electronic invoice, if that isn't part of the PDF."""
    pdf, einvoice = make_attachment(email), find_einvoice(email)
    if pdf is None or einvoice is None:
        return [pdf] if pdf is not None else []
    return [pdf, Attachment(einvoice.file_name, einvoice.xml.encode(), "application/xml")]


def find_einvoice(email: Email) -> EInvoice | None:
    """Return the electronic invoice that is a file of its own. Receipts and reminders have none: it came before."""
    if email.kind not in (EmailKind.INVOICE, EmailKind.CREDIT_NOTE):
        return None
    rows = EInvoice.objects.present().filter(invoice=email.invoice_id, credit_note=email.credit_note_id)
    return rows.exclude(format=EInvoiceFormat.FACTUR_X).select_related("invoice", "credit_note").first()


def make_attachment(email: Email) -> Attachment | None:
    """Make the PDF of the email's document; a test has none. Documents have no link to the admin: customers get them.

    Raises `CannotEmail` if it is larger than mail servers accept.
    """
    attachment = _render(email)
    most = settings.EMAIL_ATTACHMENT_MB * 1024 * 1024
    if attachment is not None and len(attachment.content) > most:
        size = len(attachment.content) / 1024 / 1024
        raise CannotEmail(f"The PDF has {size:.1f} MB. At most {settings.EMAIL_ATTACHMENT_MB} MB are sent.")
    return attachment


def _render(email: Email) -> Attachment | None:
    invoice_id = email.invoice_id or (email.payment.invoice_id if email.payment is not None else None)
    if invoice_id is not None and email.first_day is None:
        invoice = Invoice.objects.select_related(*invoices.RELATED).get(pk=invoice_id)
        return Attachment(invoices.build_file_name(invoice), invoices.render_invoice(invoice))
    if email.credit_note_id is not None:
        note = CreditNote.objects.select_related(*credit_notes.RELATED).get(pk=email.credit_note_id)
        return Attachment(credit_notes.build_file_name(note), credit_notes.render_credit_note(note))
    if email.customer is None or email.first_day is None or email.last_day is None:
        return None
    currency = email.currency or (email.invoice.currency if email.invoice is not None else "")
    statement = build_statement(email.customer, email.first_day, email.last_day, currency=currency)
    return Attachment(f"{formats.build_file_name(statement)}.pdf", formats.render_statement(statement))
