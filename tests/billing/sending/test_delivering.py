"""Emails go to a real SMTP server: once, with the document, within the limit, and with every failure recorded."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from billing.emails.composing import about_invoice
from billing.emails.outbox import queue_email
from billing.lifecycle.finalize import finalize
from billing.lifecycle.void import void
from billing.models import CompanyProfile, Email, EmailEvent
from billing.sending.delivering import TRIES, deliver_due
from config.webhooks.models import WebhookEndpoint, WebhookMessage
from customers.models import Customer
from tests.billing.einvoices.examples import SELLER
from tests.billing.einvoices.test_storing import make_buyer, make_draft
from tests.billing.invoices import ISSUED, later, make_finalized
from tests.billing.sending.mail_server import MailServer, mail_server
from tests.web_server import database_url

pytestmark = pytest.mark.django_db
NOW = later()


@pytest.fixture
def server(settings):
    with mail_server() as running:
        settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = (
            *("config.server.smtp.EmailBackend", "127.0.0.1"),
            running.port,
        )
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.EMAILS_PER_MINUTE = 0
        settings.DEFAULT_FROM_EMAIL = "Larkspur <billing@larkspur.example>"
        yield running


def make_email(total="100", **customer) -> Email:
    invoice = make_finalized(total)
    values = {"email": "anna@example.com", "name": "Anna & Co <script>"} | customer
    Customer.objects.filter(pk=invoice.customer_id).update(**values)
    invoice.customer.refresh_from_db()
    return queue_email(about_invoice(invoice), now=NOW, by=None)


def reload(email: Email) -> Email:
    return Email.objects.get(pk=email.pk)


def events_of(email: Email) -> list[tuple[str, str, str]]:
    return list(EmailEvent.objects.filter(email=email).values_list("kind", "recipient", "detail"))


def test_the_server_gets_the_invoice_as_pdf_with_text_and_html(server: MailServer):
    email = make_email(email_to=["books@example.com", "anna@example.com"], email_cc=["cfo@example.com"])
    assert deliver_due(now=NOW) == 1
    [(recipients, message)] = server.received
    assert recipients == ["books@example.com", "anna@example.com", "cfo@example.com"]
    number = email.invoice.number
    assert message["Subject"] == f"Invoice {number} from Example Company"
    assert message["From"] == "Larkspur <billing@larkspur.example>"
    assert message["Message-ID"] == f"<{email.public_id}@larkspur.example>"
    text, html = (message.get_body([kind]).get_content() for kind in ("plain", "html"))
    assert "Hello Anna & Co <script>," in text
    assert "for $100.00." in text
    assert "Hello Anna &amp; Co &lt;script&gt;," in html
    [attachment] = message.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content_type()) == (f"{number}.pdf", "application/pdf")
    assert attachment.get_content().startswith(b"%PDF-")
    email = reload(email)
    assert (email.state, email.attachment_name) == ("sent", f"{number}.pdf")
    assert NOW <= email.sent_at < NOW + timedelta(minutes=1)
    assert email.attachment_size == len(attachment.get_content())
    assert events_of(email) == [("sent", "", "")]
    assert deliver_due(now=NOW) == 0


def test_what_the_server_answers_decides_whether_an_email_is_tried_again(server: MailServer):
    WebhookEndpoint.objects.create(url="https://example.com/hooks")
    waits, gone, partly = (
        make_email(email="a@example.com"),
        make_email(email="b@example.com"),
        make_email(email="c@example.com", email_cc=["d@example.com"]),
    )
    server.answers = {"a@example.com": "451 busy", "b@example.com": "550 no such user", "d@example.com": "550 left"}
    for _ in range(3):  # a run ends at a failure, the next goes on
        deliver_due(now=NOW)
    assert reload(waits).state == "pending"
    assert NOW + timedelta(minutes=1) <= reload(waits).next_try_at < NOW + timedelta(minutes=2)
    assert events_of(waits) == [("postponed", "", "a@example.com: 451 busy")]
    assert (reload(gone).state, reload(gone).last_error) == ("failed", "b@example.com: 550 no such user")
    # The server took the email for one of two recipients: the other's refusal is a bounce, not lost.
    assert reload(partly).state == "bounced"
    assert events_of(partly) == [("sent", "", ""), ("bounced", "d@example.com", "550 left")]
    names = list(WebhookMessage.objects.order_by("pk").values_list("event_type", flat=True))
    assert names[-3:] == ["email.failed", "email.sent", "email.bounced"]
    server.answers = {}
    assert deliver_due(now=NOW + timedelta(minutes=2)) == 1
    assert (reload(waits).state, reload(waits).tries, reload(waits).last_error) == ("sent", 2, "")


def test_a_server_that_is_down_leaves_emails_waiting_and_gives_up_after_seven_attempts(settings):
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = "config.server.smtp.EmailBackend", "127.0.0.1", 1
    email, now = make_email(), NOW
    for attempt in range(1, TRIES):
        deliver_due(now=now)
        assert (reload(email).state, reload(email).tries) == ("pending", attempt)
        now = reload(email).next_try_at
    deliver_due(now=now)
    assert (reload(email).state, reload(email).tries) == ("failed", 7)


def test_a_connection_that_breaks_after_the_email_was_handed_over_is_left_to_a_person(server: MailServer):
    email = make_email()
    server.data_answer = "drop"
    deliver_due(now=NOW)
    assert reload(email).state == "unconfirmed"
    server.data_answer = ""
    deliver_due(now=NOW + timedelta(days=2))
    assert server.received == []


def test_what_changed_while_an_email_waited_stops_it(server: MailServer):
    voided, muted, sent = make_email(), make_email(), make_email()
    void(voided.invoice, reason="Wrong", by=None, now=NOW)
    Customer.objects.filter(pk=muted.customer.pk).update(receives_email=False)
    deliver_due(now=NOW)
    assert [reload(email).state for email in (voided, muted, sent)] == ["skipped", "skipped", "sent"]
    assert len(server.received) == 1
    assert reload(voided).last_error == f"{voided.invoice.number} was voided."


def test_no_more_are_sent_in_a_minute_than_the_limit(server: MailServer, settings):
    settings.EMAILS_PER_MINUTE = 2
    for _ in range(3):
        make_email()
    at = (NOW, NOW + timedelta(seconds=50), NOW + timedelta(seconds=70))
    assert [deliver_due(now=now) for now in at] == [2, 0, 1]


def test_a_pdf_that_is_too_large_isnt_sent(server: MailServer, settings):
    settings.EMAIL_ATTACHMENT_MB = 0
    email = make_email()
    deliver_due(now=NOW)
    assert reload(email).state == "skipped"
    assert reload(email).last_error == "The PDF has 0.0 MB. At most 0 MB are sent."


KILLED = """
import os, django
django.setup()
from datetime import datetime
from billing.sending import delivering
def die(*args, **kwargs):
    os.kill(os.getpid(), 9)
setattr(delivering, os.environ["DIES_AT"], die)
delivering.deliver_due(now=datetime.fromisoformat(os.environ["NOW"]))
"""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("dies_at", "taken", "state", "taken_later"),
    [
        ("build_message", 0, "pending", 1),  # before it is handed over: the next run sends it
        ("_record_sent", 1, "unconfirmed", 1),  # after the server took it: nothing is sent a second time
    ],
)
def test_a_process_that_is_killed_while_sending_sends_nothing_twice(
    server: MailServer, dies_at, taken, state, taken_later
):
    email = make_email()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "EMAIL_URL": f"smtp://127.0.0.1:{server.port}",
        "DIES_AT": dies_at,
        "NOW": NOW.isoformat(),
    }
    done = subprocess.run([sys.executable, "-c", KILLED], env=environment, cwd=Path(__file__).parents[3], check=False)
    assert (done.returncode, len(server.received)) == (-signal.SIGKILL, taken)
    deliver_due(now=NOW + timedelta(minutes=5))
    assert len(server.received) == taken_later
    assert reload(email).state == ("sent" if state == "pending" else "unconfirmed")


def test_an_electronic_invoice_is_a_second_file(server: MailServer):
    CompanyProfile.objects.create(**SELLER)
    invoice = finalize(make_draft(make_buyer("peppol")), now=ISSUED)
    queue_email(about_invoice(invoice), now=NOW, by=None)
    assert deliver_due(now=NOW) == 1
    [(_, message)] = server.received
    files = {file.get_filename(): file.get_payload(decode=True) for file in message.iter_attachments()}
    assert list(files) == [f"{invoice.number}.pdf", f"{invoice.number}.xml"]
    assert files[f"{invoice.number}.xml"] == invoice.einvoice.xml.encode()
