"""A customer with personal data in every place that the product has, whose last invoice is paid."""

from datetime import datetime
from typing import Any

from django.db import connection, transaction

from billing.emails.composing import about_invoice
from billing.emails.outbox import queue_email
from billing.lifecycle.finalize import finalize
from billing.models import Email, EmailEventKind, Invoice, PauseKind, Reminder
from billing.personal_data.erasing import continue_erasure, start_erasure
from billing.reminders.pausing import pause_reminders
from billing.sending.bounces import record_event
from billing.settlement.payments import Receipt, record_payment
from billing.settlement.top_ups import grant_to_customer
from billing.settlement.wallets import debit_wallet
from config.audit import recorded
from config.change_log.sealing import seal_entries
from config.personal_data.models import PersonalDataErasure
from config.webhooks.models import WebhookEndpoint
from customers.accounts import map_external_id, save_customer
from customers.models import Customer
from customers.subscriptions import cancel, subscribe
from tests.billing.world import D, bill, utc
from tests.events.senders import process, send
from tests.factories import make_feature, make_user, make_version

NAME, EMAIL, STREET, TAX_ID = "Anna Miller", "anna.miller@example.com", "Elm Street 5", "DE811907980"
PERSONAL = (NAME, EMAIL, "anna-", STREET, TAX_ID, "555-0199", "Ms Miller")
JANUARY, FEBRUARY, MARCH = utc(2026, 1, 1), utc(2026, 2, 1), utc(2026, 3, 1)
REASON = "Request of 28 February, ticket 17"
# Documents and payments are kept for ten years.
KEPT_TABLES = {"billing_invoice", "billing_invoiceline", "billing_payment"}


def make_anna(external_id: str = "cust-4711") -> Customer:
    """Make Anna, who used three features in January, canceled for February, and paid."""
    WebhookEndpoint.objects.create(url="https://hooks.example.com/", secret="whsec_dGVzdA==")
    customer = save_customer(
        Customer(
            external_id=external_id,
            name=NAME,
            email=EMAIL,
            email_to=[EMAIL],
            email_cc=["anna-copies@example.com"],
            contact="Ms Miller, 555-0199",
            address_line1=STREET,
            tax_id=TAX_ID,
            metadata={"phone": "555-0199"},
        ),
        by=None,
    )
    subscription = _subscribe(customer)
    map_external_id("anna-old", customer, by=None, reason="Ms Miller's former account")
    send_usage(customer)
    cancel(subscription, at=FEBRUARY, now=MARCH, by=None, reason="Ms Miller moves to another city")
    _give_and_revoke_credit(customer)
    for invoice in bill(MARCH):
        _pay(_remind(_email(finalize(_with_memo(invoice), now=MARCH))))
    seal_entries()
    return customer


def _subscribe(customer: Customer) -> Any:
    calls = make_feature(event_name="chat", name="Calls", filters={"model": ["small", "large"]})
    users = make_feature(event_name="chat", name="Users", aggregation="unique_count", field="user.email")
    tokens = make_feature(event_name="chat", name="Tokens", field="tokens")
    prices = [{"feature": feature, "unit_amount": D("0.50")} for feature in (calls, users, tokens)]
    plan = make_version(*prices, now=JANUARY).plan
    terms = {"currency": "USD", "interval": "month", "starts_at": JANUARY, "now": JANUARY, "by": None}
    return subscribe(customer, plan, key="anna-miller", metadata={"seller": "Ms Miller's friend"}, **terms)


def send_usage(customer: Customer, *, received_at: datetime = FEBRUARY, prefix: str = "chat") -> None:
    """Send three events of 10 January: two by Anna and one by Ben, one of them under the alias. 60 tokens in all."""
    at = utc(2026, 1, 10, 9)
    for number, (external_id, email) in enumerate(
        [(customer.external_id, EMAIL), ("anna-old", EMAIL), (customer.external_id, "ben@example.com")], start=1
    ):
        send(
            "chat",
            customer=external_id,
            at=at,
            event_id=f"{prefix}-{number}",
            received_at=received_at,
            model="small",
            tokens=10 * number,
            user={"email": email, "name": NAME},
            prompt=f"Hi {NAME}",
        )
    process()


def _give_and_revoke_credit(customer: Customer) -> None:
    terms = {"kind": "promotional", "reason": "Birthday of Ms Miller", "now": JANUARY, "by": None}
    grant_to_customer(customer, "USD", D(5), **terms)
    wallet = customer.wallets.get()
    wallet.description = "Credit of Ms Miller"
    wallet.save()
    debit_wallet(wallet, D(5), reason="Ms Miller canceled", now=JANUARY, by=None)


def _with_memo(invoice: Invoice) -> Invoice:
    invoice.memo, invoice.metadata = "Dear Ms Miller", {"phone": "555-0199"}
    with recorded(by=make_user(), reason="Ms Miller called"):
        invoice.save()
    return invoice


def _email(invoice: Invoice) -> Invoice:
    """Email the invoice; the mail server says that it doesn't know Anna."""
    email = queue_email(about_invoice(invoice), now=MARCH, by=None)
    with transaction.atomic():
        bounce = {"recipient": EMAIL, "detail": f"550 {EMAIL} unknown", "at": MARCH, "now": MARCH}
        Email.objects.filter(pk=email.pk).update(state="sent", next_try_at=None)
        record_event(email, EmailEventKind.BOUNCED, **bounce)
    return invoice


def _remind(invoice: Invoice) -> Invoice:
    """Remind of the invoice, and pause its reminders."""
    if invoice.amount_remaining > 0:
        promise = {"kind": PauseKind.PROMISE, "reason": "Ms Miller pays soon", "promised_on": MARCH.date()}
        pause_reminders(invoice.customer, invoice=invoice, now=MARCH, by=None, **promise)
        Reminder.objects.create(
            invoice=invoice,
            days=7,
            taken_on=MARCH.date(),
            amount=invoice.amount_remaining,
            needs_person=True,
            note=f"No late fee was charged: {NAME}",
            handled_at=MARCH,
            handled_reason="Ms Miller called",
        )
    return invoice


def _pay(invoice: Invoice) -> None:
    if invoice.amount_remaining:
        receipt = Receipt(invoice.amount_remaining, MARCH.date(), reference="wire Anna Miller", note="by Ms Miller")
        record_payment(invoice, receipt, now=MARCH, by=None)


def erase(customer: Customer, *, now: datetime = MARCH, by: Any = None) -> PersonalDataErasure:
    """Erase the customer's personal data to the end."""
    erasure = start_erasure(customer, reason=REASON, now=now, by=by)
    while continue_erasure(now=now):
        pass
    erasure.refresh_from_db()
    return erasure


def find_personal(*texts: str) -> dict[str, int]:
    """Count the rows of every table that contain one of the texts in any column, whatever its type."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        tables = [name for (name,) in cursor.fetchall()]
        found = {}
        for table in tables:
            cursor.execute(f"SELECT count(*) FROM {table} AS row WHERE {_contains(table)}", [[f"%{t}%" for t in texts]])
            if count := cursor.fetchone()[0]:
                found[table] = count
    return found


def _contains(table: str) -> str:
    bytes_as_text = " || encode(body, 'escape')" if table == "config_keptanswer" else ""
    return f"row::text{bytes_as_text} ILIKE ANY(%s)"
