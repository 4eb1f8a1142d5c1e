"""Someone with the database's superuser changes rows behind the product's back: the night names each of them."""

import pytest
from auditlog.models import LogEntry
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing import tasks
from billing.models import Invoice, InvoiceLine, ProofRun, WalletEntry
from config.alarms.kinds import AlarmKind
from config.alarms.mail import send_notices
from config.alarms.models import Alarm
from config.change_log.sealing import seal_entries
from events.models import UsageBucket
from tests.admin_pages import text_of
from tests.billing.adjusting import make_credit
from tests.billing.late import arrive_many, invoice_at
from tests.billing.proofs.proving import counts, prove_night
from tests.billing.world import D, utc
from tests.config.change_log.tampering import tamper
from tests.config.webhooks.messages import last_body, make_endpoint
from tests.factories import make_customer, make_feature, make_subscription, make_user, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER = utc(2026, 9, 1), utc(2026, 10, 1)


@pytest.fixture
def company():
    """Bill ten calls of September to each of two customers; one of them has prepaid credit of $100.00."""
    calls = make_feature(name="API calls")
    plan = make_version({"feature": calls, "unit_amount": D(1)}, now=SEPTEMBER)
    for name in ("Acme", "Globex"):
        customer = make_customer(name=name, external_id=name.lower())
        make_subscription(customer=customer, plan=plan, starts_at=SEPTEMBER)
        arrive_many(10, utc(2026, 9, 20, 9), customer=name.lower())
    make_credit(customer, 100)
    invoice_at(OCTOBER)
    seal_entries()


def corrupt():
    """Change a usage bucket, a line's amount, a credit transaction, a change-log entry and an invoice number."""
    bucket = UsageBucket.objects.order_by("customer_id").first()
    line = InvoiceLine.objects.order_by("pk").first()
    entry, change = WalletEntry.objects.earliest("pk"), LogEntry.objects.earliest("pk")
    invoice = Invoice.objects.latest("pk")
    tamper(f"UPDATE events_usagebucket SET total = 11 WHERE customer_id = {bucket.customer_id}")
    tamper(f"UPDATE billing_invoiceline SET amount = 1 WHERE id = {line.pk}")
    tamper(f"UPDATE billing_walletentry SET amount = 200 WHERE id = {entry.pk}")
    tamper(f"UPDATE auditlog_logentry SET object_repr = 'Nothing' WHERE id = {change.pk}")
    tamper(f"UPDATE billing_invoice SET number = 'INV-000009' WHERE id = {invoice.pk}")
    return line, entry, change


def signed_in() -> Client:
    client = Client()
    client.force_login(make_user(is_superuser=True))
    return client


def shown_page(run: ProofRun) -> str:
    return signed_in().get(reverse("admin:billing_proof", args=[run.public_id])).content.decode()


def test_the_untouched_company_is_proved(company):
    run = prove_night(OCTOBER)
    assert counts(run) == {
        "usage": (2, 0, 0),
        "lines": (2, 0, 0),
        "receivables": (2, 0, 0),
        "wallets": (1, 0, 0),
        "numbers": (2, 0, 0),
        "change_log": (LogEntry.objects.count(), 0, 0),
        "reconciliation": (20, 0, 0),
        "ledger": (0, 0, 0),
    }


def test_each_changed_row_is_named_on_the_proofs_page(company):
    line, entry, change = corrupt()
    run = prove_night(OCTOBER)
    differing = {kind: figures[2] for kind, figures in counts(run).items()}
    assert differing == {
        "usage": 1,
        "lines": 2,
        "receivables": 1,
        "wallets": 1,
        "numbers": 1,
        "change_log": 1,
        "reconciliation": 0,
        "ledger": 0,
    }
    page = shown_page(run)
    assert "acme, API calls, 2026-09-20 09:00 UTC" in page
    assert line.description in page
    assert entry.public_id in page
    assert f"Entry {change.pk}" in page
    assert "INV-000009" in page
    assert "INV-000002" in page


def test_the_alarm_is_on_home_in_an_email_and_in_a_webhook(company, settings):
    settings.ALARM_EMAILS = ["finance@larkspur.example"]
    make_endpoint()
    corrupt()
    tasks.start_nightly_proofs()
    tasks.continue_proofs()
    alarm = Alarm.objects.open().get()
    assert alarm.kind == AlarmKind.PROOF_FAILED
    assert alarm.message.startswith("7 figures differ in the nightly proofs of ")
    assert "acme, API calls, 2026-09-20 09:00 UTC" in alarm.message
    assert send_notices(now=timezone.now()) == 1
    assert alarm.message in mail.outbox[0].body
    assert last_body("alarm.opened")["alarm"]["message"] == alarm.message
    home = text_of(signed_in().get("/admin/"))
    assert "Proofs differ 7" in home
    assert alarm.message in home


def test_the_alarm_ends_with_the_night_after_the_rows_were_put_right(company):
    bucket = UsageBucket.objects.order_by("customer_id").first()
    tamper(f"UPDATE events_usagebucket SET total = 11 WHERE customer_id = {bucket.customer_id}")
    prove_night(OCTOBER)
    assert Alarm.objects.open().count() == 1
    tamper(f"UPDATE events_usagebucket SET total = {bucket.total} WHERE customer_id = {bucket.customer_id}")
    prove_night(OCTOBER)
    assert not Alarm.objects.open().exists()
