"""Files are imported once, entries become one payment each, and everything can be reversed."""

from datetime import date
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.bank.accepting import accept_entry, accept_suggestions, dismiss_entry, reopen_entry, suggest_for
from billing.bank.entries import BadBankFile
from billing.bank.importing import import_bank_file
from billing.models import BankEntry, BankImport, Invoice, Payment
from billing.refusals import CannotPay
from billing.settlement.payments import reverse_payment
from billing.settlement.receipts import Application
from billing.settlement.surplus import sum_unapplied
from config.refusals import ReasonRequired, Refused
from tests.billing.bank.samples import SAMPLES, US_CSV
from tests.billing.invoices import at_once, later, make_finalized
from tests.billing.world import D
from tests.factories import make_customer

pytestmark = pytest.mark.django_db
NOW = later()
COLUMNS = {
    "date": "Date",
    "amount": "Amount",
    "payer_name": "Name",
    "payer_iban": "IBAN",
    "text": "Text",
    "default_currency": "USD",
}


def load(*rows, **options):
    lines = [",".join(("2026-10-02", *row)) for row in rows]
    content = "\n".join(["Date,Amount,Name,IBAN,Text", *lines]).encode()
    return import_bank_file(content, "october.csv", columns=COLUMNS, now=NOW, by=None, **options)


@pytest.fixture
def customer():
    return make_customer(external_id="acme", name="Acme")


@pytest.fixture
def invoices(customer):
    return [make_finalized("100", customer=customer) for _ in range(3)]


def remaining(invoices):
    return [Invoice.objects.get(pk=invoice.pk).amount_remaining for invoice in invoices]


def accept_all(at_least=80):
    return accept_suggestions(list(BankEntry.objects.open().order_by("pk")), at_least=at_least, now=NOW, by=None)


def test_the_same_file_and_the_same_entries_are_imported_once():
    first = load(("100", "Acme", "", "INV-000001"))
    assert load(("100", "Acme", "", "INV-000001")) == first
    second = load(("100", "Acme", "", "INV-000001"), ("50", "Acme", "", "INV-000002"))
    assert (second.entries_added, second.entries_known) == (1, 1)
    assert BankEntry.objects.count() == 2


def test_a_second_import_of_every_sample_changes_nothing():
    for _ in range(2):
        for sample in SAMPLES:
            import_bank_file(sample.content, sample.name, columns=sample.columns, now=NOW, by=None)
    assert BankImport.objects.count() == len(SAMPLES)
    assert BankEntry.objects.count() == sum(len(sample.entries) for sample in SAMPLES)


def test_a_csv_file_reuses_the_columns_of_the_last_one_with_the_same_headings():
    with pytest.raises(BadBankFile, match="Describe the columns of this CSV file"):
        import_bank_file(US_CSV.content, "a.csv", now=NOW, by=None)
    import_bank_file(US_CSV.content, "a.csv", columns=US_CSV.columns, now=NOW, by=None)
    longer = US_CSV.content + b'10/05/2026,"ACME INC",$10.00,A3\n'
    again = import_bank_file(longer, "b.csv", now=NOW, by=None)
    assert (again.entries_added, again.entries_known, again.columns) == (1, 1, US_CSV.columns)


def test_sure_suggestions_are_accepted_in_bulk_and_the_others_stay_open(customer, invoices):
    load(
        ("100", "Acme", "DE1", "INV-000001"), ("150", "", "DE1", "INV-000002 and more"), ("9", "Stranger", "", "hello")
    )
    outcomes = accept_all()
    assert [outcome.skipped for outcome in outcomes] == ["", "", "no suggestion"]
    # The second names INV-000002 and comes from the account that paid the first: 70 + 10.
    assert remaining(invoices) == [0, 0, 100]
    assert sum_unapplied() == {customer.pk: {"USD": D(50)}}
    assert [payment.received_on for payment in Payment.objects.filter(kind="payment")] == [date(2026, 10, 2)] * 2
    accept_all()
    assert Payment.objects.filter(kind="payment").count() == 2


def test_reversing_the_payment_opens_the_entry_again(customer, invoices):
    load(("100", "Acme", "", "INV-000001"))
    [outcome] = accept_all()
    entry = BankEntry.objects.get()
    assert not BankEntry.objects.open().exists()
    reverse_payment(outcome.payment, reason="Wrong customer", now=NOW, by=None)
    assert (list(BankEntry.objects.open()), remaining(invoices)) == ([entry], [100, 100, 100])
    again = accept_entry(entry, customer, [Application(invoices[1], D(100))], now=NOW, by=None)
    assert again != outcome.payment
    assert accept_entry(entry, customer, now=NOW, by=None) == again
    assert remaining(invoices) == [100, 0, 100]


def test_an_entry_by_hand_pays_the_oldest_invoices_or_none(customer, invoices):
    load(("150", "Unknown", "", ""), ("30", "Unknown", "", "x"))
    first, second = BankEntry.objects.order_by("pk")
    accept_entry(first, customer, oldest_first=True, now=NOW, by=None)
    accept_entry(second, customer, now=NOW, by=None)
    assert remaining(invoices) == [0, 50, 100]
    assert sum_unapplied() == {customer.pk: {"USD": D(30)}}


def test_a_dismissed_entry_has_a_reason_and_can_be_reopened(customer):
    load(("3", "Bank", "", "Interest"))
    entry = BankEntry.objects.get()
    with pytest.raises(ReasonRequired):
        dismiss_entry(entry, reason=" ", now=NOW, by=None)
    dismiss_entry(entry, reason="Interest", now=NOW, by=None)
    assert list(BankEntry.objects.dismissed()) == [entry]
    assert suggest_for(BankEntry.objects.all()) == {}
    with pytest.raises(CannotPay, match="is dismissed"):
        accept_entry(entry, customer, now=NOW, by=None)
    reopen_entry(entry, by=None)
    accept_entry(entry, customer, now=NOW, by=None)
    with pytest.raises(CannotPay, match="Reverse its payment first"):
        dismiss_entry(entry, reason="Interest", now=NOW, by=None)


def test_two_people_accept_an_entry_once(transactional_db):
    customer = make_customer(external_id="acme", name="Acme")
    invoice = make_finalized("100", customer=customer)
    load(("100", "Acme", "", "INV-000001"))
    entry = BankEntry.objects.get()
    first, second = at_once(*[lambda: accept_entry(entry, customer, oldest_first=True, now=NOW, by=None)] * 2)
    assert first == second
    assert (Payment.objects.filter(kind="payment").count(), remaining([invoice])) == (1, [0])


EXAMPLES = count()


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.tuples(st.sampled_from("iadrw"), st.integers(0, 5)), max_size=14))
def test_any_order_leaves_invoices_money_and_bank_in_agreement(steps):
    customer = make_customer(external_id=f"acme {next(EXAMPLES)}", name="Acme")
    invoices = [make_finalized("100", customer=customer) for _ in range(3)]
    mark = str(customer.pk)
    rows = [
        (amount, "Acme", "", f"{mark} {n} {invoices[n % 3].number}") for n, amount in enumerate(("100", "60", "130"))
    ]
    for kind, index in steps:
        entries = list(BankEntry.objects.filter(text__startswith=f"{mark} ").order_by("pk"))
        entry = entries[index % len(entries)] if entries else None
        try:
            take_step(kind, index, rows, entry, customer)
        except Refused:
            continue
    mine = BankEntry.objects.filter(text__startswith=f"{mark} ")
    banked = sum(entry.amount for entry in mine.accepted())
    payments = Payment.objects.filter(customer=customer)
    assert sum(payment.amount for payment in payments) == banked
    unapplied = sum(sum_unapplied(customer.pk).get(customer.pk, {}).values())
    assert sum(remaining(invoices)) == 300 - banked + unapplied


def take_step(kind, index, rows, entry, customer):
    if kind == "i":
        load(*rows[: 1 + index % 3])
    elif kind == "a":
        accept_all(at_least=1)
    elif entry is None:
        return
    elif kind == "d":
        dismiss_entry(entry, reason="Not ours", now=NOW, by=None)
    elif kind == "w":
        reopen_entry(entry, by=None)
        accept_entry(entry, customer, oldest_first=True, now=NOW, by=None)
    elif entry.payment is not None:
        reverse_payment(entry.payment, reason="Wrong", now=NOW, by=None)
