"""Credit notes reduce the amount due or become refunds, and never exceed the charges."""

import pytest
from django.db import Error, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from billing.lifecycle.finalize import finalize
from billing.lifecycle.void import mark_paid, void
from billing.models import CreditNote, NumberSeries, Wallet
from billing.refusals import CannotCredit, CannotPay, MoneyAttached
from billing.settlement.credit_notes import (
    calculate_creditable_amount,
    draft_credit_note,
    finalize_credit_note,
    list_creditable_lines,
    void_credit_note,
)
from billing.settlement.payments import Receipt, record_payment, reverse_payment
from billing.settlement.refunds import calculate_refund_due, record_refund, sum_refunds
from billing.settlement.wallets import CreditSpent
from config.refusals import ReasonRequired
from tests.billing.invoices import at_once, later, make_draft, make_finalized
from tests.billing.world import D
from tests.factories import make_user

pytestmark = pytest.mark.django_db
NOW, D0 = later(), D(0)


def draft(invoice, *amounts, reason="billing_error", **options):
    lines = [line.pk for line in invoice.lines.order_by("position")]
    amounts_by_line = dict(zip(lines, map(D, amounts), strict=False))
    return draft_credit_note(invoice, amounts_by_line, reason=reason, by=None, **options)


def credit(invoice, *amounts, **options):
    return finalize_credit_note(draft(invoice, *amounts, **options), now=NOW, by=None)


def reload(row):
    row.refresh_from_db()
    return row


def refund_note(note, amount, **options):
    receipt = Receipt(D(amount), NOW.date(), **options)
    return record_refund(note.invoice, receipt, reason=f"Refund of {note}", credit_note=note, now=NOW, by=None)


def test_a_credit_note_reduces_the_amount_due_of_an_unpaid_invoice():
    invoice, by = make_finalized("60", "40"), make_user()
    note = finalize_credit_note(draft(invoice, "25", "10"), now=NOW, by=by)
    assert (note.number, note.state, note.total, note.refund_due, note.finalized_by) == (
        "CN-000001", "finalized", D(35), D(0), by,
    )  # fmt: skip
    assert (reload(invoice).amount_credited, invoice.amount_remaining, invoice.state) == (D(35), D(65), "finalized")
    assert record_payment(invoice, Receipt(D("65.01"), NOW.date()), now=NOW, by=None).surplus == D("0.01")


def test_a_draft_does_not_change_the_invoice_but_reserves_the_amount_it_credits():
    invoice = make_finalized("60", "40")
    draft(invoice, "25")
    assert (reload(invoice).amount_credited, invoice.amount_remaining) == (D(0), D(100))
    assert [line.remaining for line in list_creditable_lines(invoice)] == [D(35), D(40)]
    assert calculate_creditable_amount(invoice) == D(75)


def test_an_unpaid_invoice_that_is_credited_in_full_is_paid():
    invoice = make_finalized("100")
    credit(invoice, "100")
    assert (reload(invoice).state, invoice.paid_at, invoice.amount_paid) == ("paid", NOW, D(0))


def test_a_credit_note_of_a_paid_invoice_is_due_as_a_refund_until_it_is_refunded():
    invoice = make_finalized("100")
    mark_paid(invoice, now=NOW)
    note = credit(invoice, "30")
    assert (note.refund_due, reload(invoice).state, calculate_refund_due(invoice)) == (D(30), "paid", D(30))
    refund_note(note, "12.50", reference="wire 9")
    assert (sum_refunds(note), calculate_refund_due(reload(invoice))) == (D("12.50"), D("17.50"))
    with pytest.raises(CannotPay, match=r"\$17\.51 is more than the refund of \$17\.50 due on CN-000001"):
        refund_note(note, "17.51")
    refund_note(note, "17.50")
    assert (reload(invoice).state, invoice.amount_paid, invoice.amount_remaining) == ("paid", D(70), D(0))


def test_a_credit_note_of_a_partially_paid_invoice_reduces_the_amount_due_and_refunds_the_rest():
    invoice = make_finalized("100")
    record_payment(invoice, Receipt(D(60), NOW.date()), now=NOW, by=None)
    note = credit(invoice, "50")
    # $40 was due; the other $10 of the credit note is due as a refund.
    assert (note.refund_due, reload(invoice).state, calculate_refund_due(invoice)) == (D(10), "paid", D(10))


def test_after_a_payment_bounces_the_charges_less_credit_plus_refunds_are_due():
    invoice = make_finalized("100")
    payment = record_payment(invoice, Receipt(D(100), NOW.date()), now=NOW, by=None)
    refund_note(credit(invoice, "30"), "30")
    reverse_payment(payment, reason="Bounced", now=NOW, by=None)
    assert (reload(invoice).state, invoice.amount_remaining) == ("finalized", D(100))


def test_no_more_than_the_remaining_amount_of_a_line_can_be_credited():
    invoice = make_finalized("60", "40")
    credit(invoice, "25")
    with pytest.raises(CannotCredit, match=r"\$35\.01 is more than the remaining \$35\.00 of “Item 1”"):
        draft(invoice, "35.01")
    credit(invoice, "35")


def test_a_negative_line_reduces_the_amount_that_can_be_credited_of_the_invoice():
    invoice = make_finalized("30", "-20")
    with pytest.raises(CannotCredit, match=r"\$10\.01 including tax is more than the \$10\.00"):
        draft(invoice, "10.01")
    with pytest.raises(CannotCredit, match=r"\$1\.00 is more than the remaining \$0\.00 of “Item 2”"):
        draft(invoice, "0", "1")
    credit(invoice, "10")


@pytest.mark.parametrize(("amount", "currency"), [("-1", "USD"), ("1.005", "USD"), ("0.5", "JPY")])
def test_credited_amounts_are_positive_with_the_decimals_of_the_currency(amount, currency):
    with pytest.raises(CannotCredit, match="Enter positive amounts"):
        draft(make_finalized("100", currency=currency), amount)


def test_a_credit_note_needs_a_reason_an_amount_and_lines_of_one_finalized_invoice():
    invoice, other = make_finalized("100"), make_finalized("100")
    with pytest.raises(ReasonRequired):
        draft(invoice, "1", reason="")
    with pytest.raises(CannotCredit, match="at least one line"):
        draft(invoice, "0")
    with pytest.raises(CannotCredit, match="Only finalized invoices can be credited"):
        draft(make_draft("100"), "1")
    with pytest.raises(CannotCredit, match="Choose only lines of INV-000001"):
        draft_credit_note(invoice, {other.lines.get().pk: D(1)}, reason="duplicate", by=None)


def test_drafting_with_the_same_key_and_finalizing_again_change_nothing():
    invoice = make_finalized("100")
    note = draft(invoice, "10", idempotency_key="k1")
    assert draft(invoice, "10", idempotency_key="k1") == note
    first = finalize_credit_note(note, now=NOW, by=None)
    assert finalize_credit_note(note, now=later(2), by=None).finalized_at == first.finalized_at
    assert (CreditNote.objects.count(), reload(invoice).amount_credited) == (1, D(10))


def test_credit_note_numbers_have_no_gap_after_a_failure():
    invoice = make_finalized("100")
    credit(invoice, "1")
    with transaction.atomic():
        finalize_credit_note(draft(invoice, "1"), now=NOW, by=None)
        transaction.set_rollback(True)
    credit(invoice, "1")
    assert list(CreditNote.objects.order_by("pk").values_list("number", flat=True)) == ["CN-000001", "CN-000002"]
    assert NumberSeries.objects.get(used_for="credit_note").next_number == 3


@pytest.mark.django_db(transaction=True)
def test_two_concurrent_credit_notes_cannot_credit_more_than_was_charged():
    invoice = make_finalized("100")
    outcomes = at_once(lambda: credit(invoice, "60"), lambda: credit(invoice, "60"))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["CannotCredit", "CreditNote"]
    assert reload(invoice).amount_credited == D(60)


@pytest.mark.django_db(transaction=True)
def test_concurrent_credit_notes_are_numbered_without_a_gap():
    invoices = [make_finalized("100") for _ in range(6)]
    at_once(*[lambda invoice=invoice: credit(invoice, "60") for invoice in invoices])
    numbers = sorted(str(note) for note in CreditNote.objects.all())
    assert numbers == [f"CN-{n:06d}" for n in range(1, 7)]


def test_voiding_a_credit_note_keeps_its_number_and_makes_the_amount_due_again():
    invoice = make_finalized("100")
    note = credit(invoice, "100")
    with pytest.raises(ReasonRequired):
        void_credit_note(note, reason="", now=NOW, by=None)
    void_note = void_credit_note(note, reason="Was right after all", now=NOW, by=None)
    assert (void_note.state, void_note.number) == ("void", "CN-000001")
    assert (reload(invoice).state, invoice.amount_remaining, invoice.paid_at) == ("finalized", D(100), None)
    assert [line.remaining for line in list_creditable_lines(invoice)] == [D(100)]
    with pytest.raises(CannotCredit, match="is void"):
        finalize_credit_note(note, now=NOW, by=None)


def test_a_voided_draft_has_no_number():
    invoice = make_finalized("100")
    void_note = void_credit_note(draft(invoice, "100"), reason="Not agreed", now=NOW, by=None)
    assert (void_note.state, void_note.number, calculate_creditable_amount(invoice)) == ("void", None, D(100))


def test_a_refunded_credit_note_can_be_voided_only_after_the_refund_is_reversed():
    invoice = make_finalized("100")
    mark_paid(invoice, now=NOW)
    note = credit(invoice, "30")
    row = refund_note(note, "30")
    with pytest.raises(CannotCredit, match=r"\$30\.00 of CN-000001 was refunded"):
        void_credit_note(note, reason="Wrong", now=NOW, by=None)
    reverse_payment(row, reason="Came back", now=NOW, by=None)
    assert void_credit_note(note, reason="Wrong", now=NOW, by=None).state == "void"
    assert (reload(invoice).state, invoice.amount_remaining) == ("paid", D(0))


def test_the_credited_tax_is_a_share_of_the_invoices_tax_and_adds_up_to_it():
    # $90.00 after a discount of $10, 19 % on top: $17.10
    invoice = make_draft("100")
    line = invoice.lines.get()
    line.discount_amount, line.tax_amount = D(10), D("17.10")
    line.save()
    invoice.discount_total, invoice.tax_total = D(10), D("17.10")
    invoice.total = invoice.amount_due = D("107.10")
    invoice.save()
    invoice = finalize(invoice, now=NOW)
    first_note = credit(invoice, "30.01")
    # 17.10 × 30.01 ÷ 90 = 5.7019
    assert (first_note.subtotal, first_note.tax_total, first_note.total) == (D("30.01"), D("5.70"), D("35.71"))
    with pytest.raises(CannotCredit, match=r"\$60\.00 is more than the remaining \$59\.99"):
        draft(invoice, "60")
    last_note = credit(invoice, "59.99")
    assert (last_note.tax_total, reload(invoice).amount_credited, invoice.state) == (D("11.40"), D("107.10"), "paid")


def taxed(*, tax=D0, tax_included=D0):
    """Make a finalized invoice of one line of $1.00 with its tax."""
    invoice = make_draft("1", tax_total=tax, total=1 + tax, amount_due=1 + tax)
    invoice.lines.update(tax_amount=tax, tax_included=tax_included)
    return finalize(invoice, now=NOW)


def test_after_a_void_in_between_no_tax_is_negative_and_all_of_it_is_credited():
    # $1.00 and 5 %: $0.05. The credit notes credit 0.05 × 0.10 = 0.005, rounded 0.01; then 0.01 in all; then
    # 0.015 in all, rounded 0.02.
    invoice = taxed(tax=D("0.05"))
    first, second, third = (credit(invoice, "0.10") for _ in range(3))
    assert [note.tax_total for note in (first, second, third)] == [D("0.01"), D("0.00"), D("0.01")]
    void_credit_note(second, reason="Wrong", now=NOW, by=None)
    # 0.05 × 0.21 = 0.0105, rounded 0.01, but 0.02 is already credited
    assert credit(reload(invoice), "0.01").tax_total == D(0)
    last_note = credit(reload(invoice), "0.79")
    assert (last_note.tax_total, reload(invoice).amount_credited, invoice.state) == (D("0.03"), D("1.05"), "paid")


def test_credited_inclusive_tax_is_never_negative():
    invoice = taxed(tax_included=D("0.05"))
    _, second, _ = (credit(invoice, "0.10") for _ in range(3))
    void_credit_note(second, reason="Wrong", now=NOW, by=None)
    assert [credit(reload(invoice), amount).tax_included for amount in ("0.01", "0.79")] == [D(0), D("0.03")]


def test_a_credit_note_of_a_paid_invoice_refunds_the_tax_too():
    # $50.00 and 8.25 %: $4.125, rounded to $4.13
    invoice = make_draft("50", tax_total=D("4.13"), total=D("54.13"), amount_due=D("54.13"))
    invoice.lines.update(tax_amount=D("4.13"))
    invoice = finalize(invoice, now=NOW)
    mark_paid(invoice, now=NOW)
    # 4.13 × 20 ÷ 50 = 1.652
    note = credit(invoice, "20")
    assert (note.tax_total, note.total, note.refund_due) == (D("1.65"), D("21.65"), D("21.65"))
    last_note = credit(invoice, "30")
    assert (last_note.tax_total, last_note.total, calculate_refund_due(reload(invoice))) == (
        D("2.48"),
        D("32.48"),
        D("54.13"),
    )


def test_inclusive_tax_is_credited_with_its_price():
    # €119.00 contains 19 %: €19.00
    invoice = make_draft("119", currency="EUR")
    invoice.lines.update(tax_included=D(19))
    note = credit(finalize(invoice, now=NOW), "59.50")
    assert (note.total, note.tax_total, note.tax_included) == (D("59.50"), D(0), D("9.50"))


def test_a_refund_into_the_wallet_becomes_prepaid_credit():
    invoice = make_finalized("100")
    mark_paid(invoice, now=NOW)
    note = credit(invoice, "30", refund_to="wallet")
    wallet = Wallet.objects.get(customer=invoice.customer)
    assert (wallet.balance, sum_refunds(note), calculate_refund_due(reload(invoice))) == (D(30), D(30), D(0))
    row = note.refunds.get()
    assert (row.method, row.amount, row.reason) == ("wallet", D(-30), "Credit note CN-000001")
    reverse_payment(row, reason="Paid by wire instead", now=NOW, by=None)
    assert (reload(wallet).balance, calculate_refund_due(reload(invoice))) == (D(0), D(30))


def test_a_refund_into_the_wallet_cannot_be_reversed_once_its_credit_is_spent():
    invoice = make_finalized("100")
    mark_paid(invoice, now=NOW)
    note = credit(invoice, "30", refund_to="wallet")
    finalize(make_draft("10", customer=invoice.customer), now=NOW)
    with pytest.raises(CreditSpent):
        reverse_payment(note.refunds.get(), reason="Paid by wire instead", now=NOW, by=None)


def test_an_invoice_with_a_credit_note_cannot_be_voided():
    invoice = make_finalized("100")
    note = draft(invoice, "10")
    with pytest.raises(MoneyAttached, match="has a credit note"):
        void(invoice, reason="Wrong", by=None, now=NOW)
    void_credit_note(note, reason="Wrong", now=NOW, by=None)
    assert void(invoice, reason="Wrong", by=None, now=NOW).state == "void"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_creditnote SET total = 5, subtotal = 5",
        "UPDATE billing_creditnote SET memo = 'x'",
        "UPDATE billing_creditnote SET state = 'draft', number = NULL, finalized_at = NULL",
        "DELETE FROM billing_creditnote",
        "UPDATE billing_creditnoteline SET amount = 5",
        "DELETE FROM billing_creditnoteline",
        "UPDATE billing_invoice SET amount_credited = 0",
        "UPDATE billing_invoice SET memo = 'x'",
    ],
)
def test_postgresql_refuses_to_change_a_credit_note_or_its_invoice(statement):
    credit(make_finalized("100"), "10")
    with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db(transaction=True)
def test_postgresql_refuses_a_credit_note_that_is_not_in_its_invoices_totals():
    note = draft(make_finalized("100"), "10")
    note.state, note.number, note.finalized_at = "finalized", "CN-1", NOW
    with pytest.raises(IntegrityError, match="don't add up"), transaction.atomic():
        note.save()


def test_postgresql_refuses_to_credit_more_than_was_charged():
    invoice = make_finalized("100")
    note = draft(invoice, "90")
    other = draft(invoice, "10")
    with pytest.raises(IntegrityError, match="can be credited up to its amount"), transaction.atomic():
        other.lines.update(amount=D("10.01"))
    assert note.lines.count() == 1


def test_the_number_of_lines_does_not_change_the_query_count_of_drafting(django_assert_max_num_queries):
    short, long = make_finalized("1", "1"), make_finalized(*["1"] * 20)
    draft(make_finalized("1"), "1")
    with CaptureQueriesContext(connection) as queries:
        draft(short, "1", "1")
    with django_assert_max_num_queries(len(queries)):
        draft(long, *["1"] * 20)
