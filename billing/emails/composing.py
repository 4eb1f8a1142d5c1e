"""Compose emails: the values of a document in the text of its kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Q

from billing.emails.templates import fill_in, fill_in_subject, make_html, on_one_line
from billing.models import CreditNote, Email, EmailKind, EmailTemplate, Invoice, InvoiceState, Payment, PaymentKind
from billing.models.company import seller
from billing.models.credit_notes import CreditNoteState
from billing.models.emails import REMINDER_KINDS
from billing.money import ZERO, format_amount
from billing.refusals import CannotEmail
from billing.wording import day
from customers.models import Customer


@dataclass(frozen=True, slots=True)
class Topic:
    """What an email is about: a document, or the days of a statement. `customer` is always the document's own.

    A reminder is about an invoice. With days, the statement of these days is attached to it instead of the invoice.
    """

    kind: EmailKind
    customer: Customer
    invoice: Invoice | None = None
    credit_note: CreditNote | None = None
    payment: Payment | None = None
    first_day: date | None = None
    last_day: date | None = None
    currency: str = ""


def about_invoice(invoice: Invoice) -> Topic:
    """A section of a joint invoice is emailed with its joint invoice, as the first section's email.

    Raises `CannotEmail` for drafts and void invoices.
    """
    if invoice.joint is not None:
        invoice = invoice.joint.parts[0]
    if invoice.state not in (InvoiceState.FINALIZED, InvoiceState.PAID):
        state = invoice.get_state_display().lower()
        raise CannotEmail(f"{invoice} is {state}. Only finalized invoices are emailed.")
    return Topic(EmailKind.INVOICE, invoice.customer, invoice=invoice)


def about_reminder(
    invoice: Invoice, kind: EmailKind, *, first_day: date | None = None, last_day: date | None = None
) -> Topic:
    """Raises `CannotEmail` unless the invoice is finalized and an amount is left to pay."""
    about_invoice(invoice)
    check_unpaid(invoice)
    return Topic(kind, invoice.customer, invoice=invoice, first_day=first_day, last_day=last_day)


def check_unpaid(invoice: Invoice) -> None:
    """Raise `CannotEmail` if nothing is left to pay."""
    if invoice.amount_remaining <= 0:
        raise CannotEmail(f"Nothing is left to pay on {invoice}.")


def about_credit_note(note: CreditNote) -> Topic:
    """Raises `CannotEmail` for drafts and void credit notes."""
    if note.state != CreditNoteState.FINALIZED:
        state = note.get_state_display().lower()
        raise CannotEmail(f"{note} is {state}. Only finalized credit notes are emailed.")
    return Topic(EmailKind.CREDIT_NOTE, note.customer, credit_note=note)


def about_payment(payment: Payment) -> Topic:
    """Raises `CannotEmail` for reversed payments, and for refunds and other rows that aren't money received."""
    if payment.kind != PaymentKind.PAYMENT:
        raise CannotEmail("Only payments have a receipt.")
    if Payment.objects.filter(reverses=payment).exists():
        raise CannotEmail("The payment was reversed, so it has no receipt.")
    if not pays_invoice(payment):
        raise CannotEmail("The payment pays no invoice yet, so it has no receipt.")
    return Topic(EmailKind.RECEIPT, payment.customer, payment=payment)


def pays_invoice(payment: Payment) -> bool:
    """Whether a payment was recorded on an invoice or is applied to one."""
    return payment.invoice_id is not None or payment.uses.filter(kind=PaymentKind.APPLIED, reversed_by=None).exists()


def about_statement(customer: Customer, first_day: date, last_day: date, *, currency: str = "") -> Topic:
    return Topic(EmailKind.STATEMENT, customer, first_day=first_day, last_day=last_day, currency=currency)


def about_email(email: Email) -> Topic:
    """Return what an earlier email is about, to send it again. Raises `CannotEmail` as the functions above do."""
    if email.invoice is not None and email.kind in REMINDER_KINDS:
        kind = EmailKind(email.kind)
        return about_reminder(email.invoice, kind, first_day=email.first_day, last_day=email.last_day)
    if email.invoice is not None:
        return about_invoice(email.invoice)
    if email.credit_note is not None:
        return about_credit_note(email.credit_note)
    if email.payment is not None:
        return about_payment(email.payment)
    if email.customer is None or email.first_day is None or email.last_day is None:
        raise CannotEmail("A test isn't sent again. Send another one from the template's page.")
    return about_statement(email.customer, email.first_day, email.last_day, currency=email.currency)


def compose(topic: Topic, template: EmailTemplate, *, company: Mapping[str, Any] | None = None) -> Email:
    """Return an unsaved email without recipients. `company` saves a query if many are composed."""
    company = company or seller()
    values = values_of(topic, company)
    text = fill_in(template.text, values)
    return Email(
        kind=topic.kind,
        customer=topic.customer,
        invoice=topic.invoice,
        credit_note=topic.credit_note,
        payment=topic.payment,
        first_day=topic.first_day,
        last_day=topic.last_day,
        currency=topic.currency,
        subject=fill_in_subject(template.subject, values) or on_one_line(company["name"]),
        text=text,
        html=make_html(text, company=on_one_line(company["name"])),
    )


def values_of(topic: Topic, company: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of the placeholders, formatted for people."""
    customer = topic.customer
    common = {
        "company": company["name"],
        "customer": customer.name,
        "greeting_name": customer.contact or customer.name,
    }
    if topic.invoice is not None:
        return common | _values_of_invoice(topic.invoice)
    if topic.credit_note is not None:
        return common | _values_of_credit_note(topic.credit_note)
    if topic.payment is not None:
        return common | _values_of_payment(topic.payment)
    return common | {"first_day": _day(topic.first_day), "last_day": _day(topic.last_day)}


def _values_of_invoice(invoice: Invoice) -> dict[str, str]:
    bill = invoice.joint or invoice
    return {
        "number": bill.number or "",
        "total": format_amount(bill.total, bill.currency),
        "amount_due": format_amount(max(bill.amount_remaining, ZERO), bill.currency),
        "issue_date": _day(bill.issued_on),
        "due_date": _day(bill.due_on),
        "po_number": bill.po_number,
    }


def _values_of_credit_note(note: CreditNote) -> dict[str, str]:
    return {
        "number": note.number or "",
        "invoice_number": note.invoice.number or "",
        "total": format_amount(note.total, note.currency),
        "issue_date": _day(note.issued_on),
    }


def _values_of_payment(payment: Payment) -> dict[str, str]:
    paid = Q(payments=payment) | Q(payments__source=payment, payments__reversed_by=None)
    invoices = Invoice.objects.filter(paid).select_related("joint").distinct().order_by("pk")
    bills = {invoice.joint_id or -invoice.pk: invoice.joint or invoice for invoice in invoices}.values()
    due = sum((max(bill.amount_remaining, ZERO) for bill in bills), ZERO)
    return {
        "amount": format_amount(payment.amount, payment.currency),
        "payment_date": day(payment.received_on),
        "invoice_number": ", ".join(bill.number or "" for bill in bills),
        "amount_due": format_amount(due, payment.currency),
    }


def _day(when: date | None) -> str:
    return "" if when is None else day(when)
