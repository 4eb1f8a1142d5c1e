"""The outbox: emails wait in it until `billing/sending/` sends them. They are written with the change that they report.

Emails that a customer can't get are written, too, with the reason, so that it can be seen that they weren't sent.
"""

from collections.abc import Sequence
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from billing.emails.composing import (
    Topic,
    about_credit_note,
    about_email,
    about_invoice,
    about_payment,
    compose,
    pays_invoice,
)
from billing.emails.recipients import choose_recipients, recipients_of
from billing.emails.templates import fill_in, fill_in_subject, make_html, template_of
from billing.models import (
    CompanyProfile,
    CreditNote,
    Email,
    EmailEvent,
    EmailEventKind,
    EmailKind,
    EmailState,
    EmailTemplate,
    Invoice,
    Payment,
    PaymentKind,
)
from billing.models.company import seller
from billing.models.emails import LONGEST_DETAIL
from billing.refusals import CannotEmail
from config.audit import recorded
from customers.models import Customer


def queue_email(
    topic: Topic,
    *,
    to: Sequence[str] = (),
    cc: Sequence[str] = (),
    resends: Email | None = None,
    now: datetime,
    by: User | None,
) -> Email:
    """Put an email into the outbox and return it; if the same document already waits, return that email.

    Without `to`, it goes to the customer's recipients. Raises `CannotEmail`.
    """
    email = preview_email(topic, to=to, cc=cc)
    email.next_try_at, email.resends, email.created_by = now, resends, by
    with transaction.atomic(), recorded(by=by):
        # Locked, so that of two clicks at once the second finds the email of the first.
        Customer.objects.select_for_update(no_key=True).get(pk=topic.customer.pk)
        waiting = _find_waiting(topic)
        if waiting is not None:
            return waiting
        email.save()
        if resends is not None:
            mark_handled(resends, now=now, by=by)
    return email


def preview_email(topic: Topic, *, to: Sequence[str] = (), cc: Sequence[str] = ()) -> Email:
    """Return the email that `queue_email` would write, unsaved. Raises `CannotEmail`."""
    recipients = choose_recipients(topic.customer, to, cc) if to else recipients_of(topic.customer)
    email = compose(topic, template_of(topic.kind))
    email.to, email.cc = recipients.to, recipients.cc
    return email


def _find_waiting(topic: Topic) -> Email | None:
    return Email.objects.filter(
        state=EmailState.PENDING,
        kind=topic.kind,
        customer=topic.customer,
        invoice=topic.invoice,
        credit_note=topic.credit_note,
        payment=topic.payment,
        first_day=topic.first_day,
        last_day=topic.last_day,
        currency=topic.currency,
    ).first()


def send_again(
    email: Email, *, to: Sequence[str] = (), cc: Sequence[str] = (), now: datetime, by: User | None
) -> Email:
    """Send a document again, as another email with the text and recipients of today. Raises `CannotEmail`."""
    if email.state in (EmailState.PENDING, EmailState.SENDING):
        raise CannotEmail("The email hasn't been sent yet.")
    return queue_email(about_email(email), to=to, cc=cc, resends=email, now=now, by=by)


def mark_handled(email: Email, *, now: datetime, by: User | None, reason: str = "") -> None:
    """Note that someone took care of an email that failed, bounced or is unconfirmed. Safe to repeat."""
    with transaction.atomic(), recorded(by=by, reason=reason):
        locked = Email.objects.select_for_update(no_key=True, of=("self",)).get(pk=email.pk)
        if locked.handled_at is None:
            locked.handled_at = now
            locked.save(update_fields=["handled_at"])


def queue_test(template: EmailTemplate, values: dict[str, str], to: str, *, now: datetime, by: User | None) -> Email:
    """Send a template with sample values to a colleague, without an attachment."""
    text = fill_in(template.text, values)
    email = Email(
        kind=EmailKind.TEST,
        to=[to],
        subject=fill_in_subject(f"Test: {template.subject}", values),
        text=text,
        html=make_html(text, company=values["company"]),
        next_try_at=now,
        created_by=by,
    )
    with transaction.atomic(), recorded(by=by):
        email.save()
    return email


def email_invoices(invoices: Sequence[Invoice], *, now: datetime) -> None:
    """Queue the emails of invoices that were just finalized, if the company sends them automatically.

    A joint invoice has one email.
    """
    if invoices and CompanyProfile.current().emails_invoices:
        documents = {("joint", invoice.joint_id) if invoice.joint_id else invoice.pk: invoice for invoice in invoices}
        _queue_automatically([about_invoice(invoice) for invoice in documents.values()], now=now)


def email_credit_note(note: CreditNote, *, now: datetime) -> None:
    """Queue the email of a credit note that was just finalized, if the company sends them automatically."""
    if CompanyProfile.current().emails_credit_notes:
        _queue_automatically([about_credit_note(note)], now=now)


def email_receipt(payment: Payment, *, now: datetime) -> None:
    """Queue the receipt of a payment that was just recorded, if the company sends receipts automatically."""
    is_receipt = payment.kind == PaymentKind.PAYMENT and pays_invoice(payment)
    if is_receipt and CompanyProfile.current().emails_receipts:
        _queue_automatically([about_payment(payment)], now=now)


def queue_reminder(topic: Topic, *, now: datetime) -> Email:
    """Queue a reminder in the transaction that notes its step, which is taken once. Return it as it was saved.

    If the customer can't get it, it is written as not sent, with the reason. If the same reminder already waits, that
    one is returned.
    """
    waiting = _find_waiting(topic)
    if waiting is not None:
        return waiting
    email = compose(topic, template_of(topic.kind))
    email.is_automatic = True
    _address(email, topic.customer, now=now)
    email.save()
    if email.state == EmailState.SKIPPED:
        EmailEvent.objects.create(email=email, kind=EmailEventKind.SKIPPED, at=now, detail=email.last_error)
    return email


def _queue_automatically(topics: Sequence[Topic], *, now: datetime) -> None:
    """Queue one email for each document; a second call for a document changes nothing. Four statements for any number.

    What a customer can't get is written as not sent, with the reason.
    """
    template, company = template_of(topics[0].kind), seller()
    emails = []
    for topic in topics:
        email = compose(topic, template, company=company)
        email.is_automatic = True
        _address(email, topic.customer, now=now)
        emails.append(email)
    with transaction.atomic():
        Email.objects.bulk_create(emails, batch_size=500, ignore_conflicts=True)
        skipped = {email.public_id: email.last_error for email in emails if email.state == EmailState.SKIPPED}
        rows = Email.objects.filter(public_id__in=skipped).values_list("pk", "public_id") if skipped else ()
        EmailEvent.objects.bulk_create(
            [EmailEvent(email_id=pk, kind=EmailEventKind.SKIPPED, at=now, detail=skipped[name]) for pk, name in rows]
        )


def _address(email: Email, customer: Customer, *, now: datetime) -> None:
    try:
        recipients = recipients_of(customer)
    except CannotEmail as refusal:
        email.state, email.last_error = EmailState.SKIPPED, str(refusal)[:LONGEST_DETAIL]
    else:
        email.to, email.cc, email.next_try_at = recipients.to, recipients.cc, now
