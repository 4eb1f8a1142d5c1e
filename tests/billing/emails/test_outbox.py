"""Emails are written with the change that they report, once, with the recipients and text of their customer."""

import pytest
from auditlog.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from billing.emails.composing import about_credit_note, about_invoice, about_payment
from billing.emails.outbox import mark_handled, queue_email, send_again
from billing.emails.templates import fill_in, fill_in_subject, make_html, reset_template, save_template, template_of
from billing.lifecycle.finalize import finalize
from billing.models import CompanyProfile, Email, EmailKind
from billing.models.credit_notes import CreditReason
from billing.refusals import CannotEmail
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note
from billing.settlement.payments import reverse_payment
from customers.models import Customer
from tests.billing.invoices import later, make_draft, make_finalized
from tests.billing.settlement.test_payments import pay
from tests.billing.world import D
from tests.factories import make_customer, make_user

pytestmark = pytest.mark.django_db
NOW = later()


def mailed(**values) -> Customer:
    return make_customer(**{"email": "anna@example.com"} | values)


def test_what_is_finalized_or_paid_is_emailed_once_if_the_company_wants_so():
    make_finalized("10", customer=mailed())
    assert not Email.objects.exists()
    CompanyProfile.objects.create(name="Larkspur", emails_invoices=True, emails_credit_notes=True, emails_receipts=True)
    customer = mailed(email_cc=["cfo@example.com"])
    invoice = make_finalized("100", customer=customer)
    finalize(invoice, now=NOW)
    pay(invoice, "40", "wire 7")
    pay(invoice, "40", "wire 7")
    note = draft_credit_note(invoice, {invoice.lines.get().pk: D(5)}, reason=CreditReason.BILLING_ERROR, by=None)
    finalize_credit_note(note, now=NOW, by=None)
    emails = Email.objects.order_by("pk")
    assert [(email.kind, email.to, email.cc, email.state) for email in emails] == [
        ("invoice", ["anna@example.com"], ["cfo@example.com"], "pending"),
        ("receipt", ["anna@example.com"], ["cfo@example.com"], "pending"),
        ("credit_note", ["anna@example.com"], ["cfo@example.com"], "pending"),
    ]
    assert "for $100.00.\nAmount due: $100.00, by " in emails[0].text
    assert "payment of $40.00 on " in emails[1].text
    assert "Left to pay: $60.00." in emails[1].text
    assert f"for $5.00. It corrects invoice {invoice.number}." in emails[2].text


def test_what_a_customer_cant_get_is_written_with_the_reason():
    CompanyProfile.objects.create(name="Larkspur", emails_invoices=True)
    make_finalized("10", customer=make_customer(name="Nora"))
    make_finalized("10", customer=mailed(name="Mute", receives_email=False))
    emails = Email.objects.order_by("pk")
    assert [(email.state, email.last_error, email.to) for email in emails] == [
        ("skipped", "Nora has no email address. Add one on the customer's page.", []),
        ("skipped", "Emails are turned off for Mute.", []),
    ]
    assert [event.kind for email in emails for event in email.events.all()] == ["skipped", "skipped"]


def test_the_same_document_waits_once_and_is_sent_again_as_another_email():
    invoice, by = make_finalized("10", customer=mailed()), make_user()
    email = queue_email(about_invoice(invoice), now=NOW, by=by)
    assert queue_email(about_invoice(invoice), now=NOW, by=None) == email
    with pytest.raises(CannotEmail, match="hasn't been sent yet"):
        send_again(email, now=NOW, by=by)
    Email.objects.update(state="bounced", next_try_at=None)
    Customer.objects.update(email="new@example.com")
    again = send_again(Email.objects.get(), now=NOW, by=by)
    assert (again.to, again.resends_id, again.state) == (["new@example.com"], email.pk, "pending")
    email.refresh_from_db()
    assert (email.handled_at, email.to) == (NOW, ["anna@example.com"])
    assert LogEntry.objects.get_for_object(again).get().actor == by


@pytest.mark.parametrize(
    "address",
    ["a@example.com\nBcc: eve@example.com", "a@example.com\r\n", "Anna <a@example.com>", "a@", "a b@example.com"],
)
def test_an_address_that_could_add_a_header_or_a_recipient_is_refused(address):
    invoice = make_finalized("10", customer=mailed())
    with pytest.raises(CannotEmail, match="isn't an email address"):
        queue_email(about_invoice(invoice), to=["ok@example.com", f"{address}x" if address.endswith("\n") else address],
                    now=NOW, by=None)  # fmt: skip


def test_documents_that_customers_must_not_get_arent_emailed():
    payment = pay(make_finalized("10", customer=mailed()), "10")
    reverse_payment(payment, reason="Bounced", now=NOW, by=None)
    invoice = make_finalized("10", customer=mailed())
    note = draft_credit_note(invoice, {invoice.lines.get().pk: D(5)}, reason=CreditReason.BILLING_ERROR, by=None)
    for about in (
        lambda: about_invoice(make_draft("10", customer=mailed())),
        lambda: about_payment(payment),
        lambda: about_credit_note(note),
    ):
        with pytest.raises(CannotEmail):
            about()
    erased = mailed(state="archived", archived_at=NOW, erased_at=NOW)
    with pytest.raises(CannotEmail, match="was erased"):
        queue_email(about_invoice(make_finalized("10", customer=erased)), to=["eve@example.com"], now=NOW, by=None)


def test_the_database_refuses_an_email_of_another_customers_document_and_any_change_of_its_text():
    invoice = make_finalized("10", customer=mailed())
    values = {"kind": "invoice", "invoice": invoice, "subject": "x", "text": "x", "html": "x", "next_try_at": NOW}
    with pytest.raises(IntegrityError, match="its own customer"), transaction.atomic():
        Email.objects.create(customer=mailed(), to=["eve@example.com"], **values)
    email = Email.objects.create(customer=invoice.customer, to=["anna@example.com"], **values)
    for change in ({"to": ["eve@example.com"]}, {"text": "y"}, {"customer": mailed()}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Email.objects.filter(pk=email.pk).update(**change)


def test_a_template_has_its_own_placeholders_and_nothing_else():
    by, template = make_user(), template_of(EmailKind.INVOICE)
    template.subject, template.text = "{{ number }}: {{total}}", "Hello {{ customer }}"
    save_template(template, by=by)
    email = queue_email(about_invoice(make_finalized("10", customer=mailed(name="Anna"))), now=NOW, by=by)
    assert (email.subject, email.text) == (f"{email.invoice.number}: $10.00", "Hello Anna")
    for text in (
        "{{ customer.secret }}", "{{ customer|safe }}", "{% include 'x' %}", "{{ amount }}", "{{ settings }}", "{{"
    ):  # fmt: skip
        template.text = text
        with pytest.raises(ValidationError):
            save_template(template, by=by)
    reset_template(EmailKind.INVOICE, by=by)
    assert template_of(EmailKind.INVOICE).subject == "Invoice {{ number }} from {{ company }}"


def test_a_customers_name_adds_no_header_no_line_no_tag_and_no_placeholder():
    values = {"customer": "A\r\nBcc: eve@example.com\n\n{{ total }} <a href='http://evil.example'>", "total": "$1"}
    assert "\n" not in fill_in_subject("To {{ customer }}", values)
    text = fill_in("Hello {{ customer }}", values)
    assert text == "Hello A Bcc: eve@example.com {{ total }} <a href='http://evil.example'>"
    html = make_html(text, company="Larkspur <b>")
    assert "&lt;a href=" in html
    assert "<b>" not in html
    assert "href" not in html.replace("&lt;a href", "")


def test_a_handled_problem_says_who_handled_it_and_why():
    invoice, by = make_finalized("10", customer=mailed()), make_user()
    email = queue_email(about_invoice(invoice), now=NOW, by=by)
    Email.objects.update(state="failed", next_try_at=None)
    assert Email.objects.problems().count() == 1
    mark_handled(email, now=NOW, by=by, reason="Sent by post")
    assert Email.objects.problems().count() == 0
    assert LogEntry.objects.get_for_object(email).filter(action=LogEntry.Action.UPDATE).get().actor == by
