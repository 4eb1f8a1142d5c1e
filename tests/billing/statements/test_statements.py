"""A customer's statement has the opening balance, every movement and the closing balance, by currency."""

import csv
import io
from datetime import date, timedelta

import openpyxl
import pytest
from django.urls import reverse
from pypdf import PdfReader

from billing.lifecycle.finalize import finalize
from billing.lifecycle.void import void
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note, void_credit_note
from billing.settlement.payments import Receipt, record_payment, reverse_payment
from billing.settlement.wallets import get_or_open_wallet, grant_credit
from billing.statements import statement as statements
from billing.statements.formats import list_file_rows, render_statement
from billing.statements.statement import StatementTooLong, build_statement
from tests.admin_pages import as_viewer, count_queries, text_of
from tests.billing.invoices import make_draft
from tests.billing.world import D, utc
from tests.factories import make_customer, make_user

pytestmark = pytest.mark.django_db
SEPTEMBER = (date(2026, 9, 1), date(2026, 9, 30))


@pytest.fixture
def acme(db):
    return make_customer(external_id="acme", name="Acme Ltd", timezone="America/New_York")


def charge(customer, amount, at, **options):
    return finalize(make_draft(amount, customer=customer, **options), now=at)


def pay(invoice, amount, on):
    return record_payment(invoice, Receipt(D(amount), on, reference=f"wire {on}"), now=utc(2026, 12, 1), by=None)


def credit(invoice, amount, at):
    note = draft_credit_note(invoice, {invoice.lines.get().pk: D(amount)}, reason="billing_error", by=None)
    return finalize_credit_note(note, now=at, by=None)


def list_entries(account):
    """List an account's entries as (day of the month, text, amount, balance)."""
    return [(entry.on.day, entry.movement.text, entry.movement.amount, entry.balance) for entry in account.entries]


@pytest.fixture
def busy(acme):
    """August: $100 charged, $40 paid. September: a charge, a payment, a credit note, a void; around the edges
    of the month, charges that New York's calendar counts to another month than UTC's."""
    first = charge(acme, "100", utc(2026, 8, 10))
    pay(first, "40", date(2026, 8, 20))
    charge(acme, "7", utc(2026, 9, 1, 3, 59))  # still 31 August in New York
    second = charge(acme, "50.25", utc(2026, 9, 1, 4))  # midnight of 1 September there
    pay(first, "60", date(2026, 9, 10))
    credit(second, "10.25", utc(2026, 9, 12, 12))
    wrong = charge(acme, "999", utc(2026, 9, 15, 12))
    void(wrong, reason="Wrong", by=None, now=utc(2026, 9, 20, 12))
    charge(acme, "1", utc(2026, 10, 1, 4))  # midnight of 1 October there
    make_draft("5000", customer=acme)
    return acme


def test_a_statement_runs_from_the_opening_to_the_closing_balance(busy):
    (usd,) = build_statement(busy, *SEPTEMBER).currencies
    assert usd.owed.opening == D("67")  # 100 − 40 + 7
    assert list_entries(usd.owed) == [
        (1, "Invoice INV-000003, One-off", D("50.25"), D("117.25")),
        (10, "Payment, INV-000001, bank transfer", D("-60"), D("57.25")),
        (12, "CN-000001 for INV-000003", D("-10.25"), D("47")),
        (15, "Invoice INV-000004, One-off", D("999"), D("1046")),
        (20, "INV-000004 voided", D("-999"), D("47")),
    ]
    assert usd.owed.closing == D("47")
    assert (usd.owed.sum_movements(up=True), usd.owed.sum_movements(up=False)) == (D("1049.25"), D("-1069.25"))


def test_a_months_closing_balance_is_the_next_months_opening_balance(busy):
    (august,) = build_statement(busy, date(2026, 8, 1), date(2026, 8, 31)).currencies
    (october,) = build_statement(busy, date(2026, 10, 1), date(2026, 10, 31)).currencies
    assert (august.owed.opening, august.owed.closing) == (D(0), D("67"))
    assert (october.owed.opening, october.owed.closing) == (D("47"), D("48"))


def test_the_closing_balance_is_the_sum_of_the_amounts_due(busy):
    (usd,) = build_statement(busy, date(2026, 1, 1), date(2026, 12, 31)).currencies
    assert usd.owed.closing == sum(invoice.amount_remaining for invoice in busy.invoices.filter(state="finalized"))


def test_a_reversed_payment_is_owed_again(acme):
    invoice = charge(acme, "30", utc(2026, 9, 2, 12))
    payment = pay(invoice, "30", date(2026, 9, 3))
    reverse_payment(payment, reason="Bounced", now=utc(2026, 9, 8), by=None)
    (usd,) = build_statement(acme, *SEPTEMBER).currencies
    assert usd.owed.closing == D(30)


def test_a_voided_credit_note_is_owed_again(acme):
    invoice = charge(acme, "30", utc(2026, 9, 2, 12))
    note = credit(invoice, "20", utc(2026, 9, 3, 12))
    void_credit_note(note, reason="Wrong line", now=utc(2026, 9, 4, 12), by=None)
    (usd,) = build_statement(acme, *SEPTEMBER).currencies
    assert [entry.balance for entry in usd.owed.entries] == [D(30), D(10), D(30)]


def test_prepaid_credit_has_a_separate_account(acme):
    wallet = get_or_open_wallet(acme, "USD", by=None)
    grant_credit(wallet, D(25), kind="purchased", reason="Prepaid", now=utc(2026, 8, 5), by=None)
    charge(acme, "40", utc(2026, 9, 2, 12))
    (usd,) = build_statement(acme, *SEPTEMBER).currencies
    assert (usd.credit.opening, usd.credit.closing) == (D(25), D(0))
    assert list_entries(usd.credit) == [(2, "Applied to an invoice: INV-000001", D(-25), D(0))]
    assert [(text, balance) for _, text, _, balance in list_entries(usd.owed)] == [
        ("Invoice INV-000001, One-off", D(40)),
        ("Prepaid credit, INV-000001", D(15)),
    ]


def test_each_currency_is_separate_and_can_be_selected(acme):
    charge(acme, "40", utc(2026, 9, 2, 12))
    charge(acme, "1000", utc(2026, 9, 3, 12), currency="JPY")
    currencies = build_statement(acme, *SEPTEMBER).currencies
    assert [(statement.currency, statement.owed.closing) for statement in currencies] == [
        ("JPY", D(1000)),
        ("USD", D(40)),
    ]
    (yen,) = build_statement(acme, *SEPTEMBER, currency="JPY").currencies
    assert yen.currency == "JPY"


def test_a_reversed_range_and_a_range_with_too_many_movements_are_refused(acme, monkeypatch):
    with pytest.raises(StatementTooLong):
        build_statement(acme, date(2026, 9, 2), date(2026, 9, 1))
    monkeypatch.setattr(statements, "MOST_MOVEMENTS", 1)
    for _ in range(2):
        charge(acme, "1", utc(2026, 9, 2))
    with pytest.raises(StatementTooLong, match="shorter range"):
        build_statement(acme, *SEPTEMBER)


def test_the_file_has_a_row_for_each_balance_and_movement(busy):
    rows = list(list_file_rows(build_statement(busy, *SEPTEMBER)))
    assert rows[0] == (date(2026, 9, 1), "USD", "Account", "Opening balance", "", "", None, None, D("67"))
    assert rows[2][-4:] == ("Payment, INV-000001, bank transfer", None, D("60"), D("57.25"))
    assert rows[-1][-1] == D("47")


def test_the_pdf_has_the_same_content_and_the_same_bytes_each_time(busy):
    pdf = render_statement(build_statement(busy, *SEPTEMBER))
    assert render_statement(build_statement(busy, *SEPTEMBER)) == pdf
    text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    for phrase in ("Statement of account", "1 Sep 2026", "30 Sep 2026", "America/New_York", "$67.00", "$1,046.00"):
        assert phrase in text
    assert text.count("$47.00") == 4  # after the credit note, after the void, closing balance, amount due


def test_the_statement_is_shown_and_downloaded_in_the_admin(busy, staff_client):
    url = reverse("admin:billing_statement", args=[busy.pk], query={"from": "2026-09-01", "to": "2026-09-30"})
    page = staff_client.get(url).content.decode()
    assert "CN-000001 for INV-000003" in page
    assert "$1,046.00" in page
    assert staff_client.get(f"{url}&format=pdf").content.startswith(b"%PDF-")
    text = b"".join(staff_client.get(f"{url}&format=csv").streaming_content).decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(text)))[-1] == [
        "2026-09-30", "USD", "Account", "Closing balance", "", "", "", "", "47.00",
    ]  # fmt: skip
    sheet = openpyxl.load_workbook(io.BytesIO(b"".join(staff_client.get(f"{url}&format=xlsx").streaming_content)))
    last = list(sheet.active.values)[-1]
    assert (last[0].date(), last[-1]) == (date(2026, 9, 30), 47)
    assert "Enter dates as" in staff_client.get(f"{url}x").content.decode()


def test_the_customers_page_links_to_the_statement(busy, staff_client):
    page = staff_client.get(busy.get_absolute_url()).content.decode()
    action = reverse("admin:customers_customer_open_statement", args=[busy.pk])
    assert action in page
    assert "Statement for Acme Ltd" in text_of(staff_client.get(action, follow=True))


def test_the_number_of_movements_does_not_change_the_query_count(acme, staff_client):
    url = reverse("admin:billing_statement", args=[acme.pk], query={"from": "2026-09-01", "to": "2026-09-30"})
    pay(charge(acme, "1", utc(2026, 9, 2)), "1", date(2026, 9, 3))
    queries = count_queries(staff_client, url)
    for day in range(2, 12):
        invoice = charge(acme, "2", utc(2026, 9, day))
        credit(invoice, "1", utc(2026, 9, day) + timedelta(hours=1))
        pay(invoice, "1", date(2026, 9, 3))
    assert count_queries(staff_client, url) == queries


def test_only_staff_who_can_view_invoices_and_customers_see_the_statement(acme, client):
    url = reverse("admin:billing_statement", args=[acme.pk])
    assert as_viewer("billing").get(url).status_code == 403
    client.force_login(make_user())
    assert client.get(url).status_code == 403


def test_the_api_returns_the_statement(busy, api):
    statement = api.get(f"customers/{busy.public_id}/statement", from_date="2026-09-01", to_date="2026-09-30")
    (usd,) = statement["currencies"]
    assert (usd["account"]["opening_balance"], usd["account"]["closing_balance"]) == ("67.00", "47.00")
    assert usd["account"]["entries"][2] == {
        "date": "2026-09-12",
        "type": "Credit note",
        "reference": "CN-000001",
        "description": "CN-000001 for INV-000003",
        "amount": "-10.25",
        "balance": "47.00",
    }
    assert usd["prepaid_credit"] == {"opening_balance": "0.00", "entries": [], "closing_balance": "0.00"}
    api.get(f"customers/{busy.public_id}/statement", 400, from_date="2026-09-01")
    api.get(f"customers/{busy.public_id}/statement", 400, from_date="2026-09-02", to_date="2026-09-01")
    api.get("customers/cust_none/statement", 404, from_date="2026-09-01", to_date="2026-09-30")
