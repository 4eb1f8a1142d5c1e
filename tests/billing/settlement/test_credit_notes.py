"""Credit notes: what they take off an invoice, what is given back, and never more than was charged."""

import pytest
from django.db import Error, IntegrityError, connection, transaction

from billing.lifecycle.finalize import MoneyAttached, finalize
from billing.lifecycle.void import mark_paid, void
from billing.models import CreditNote, NumberSeries, Wallet
from billing.refusals import CannotCredit, CannotPay, ReasonMissing
from billing.settlement.credit_notes import (
    calculate_creditable_amount,
    draft_credit_note,
    finalize_credit_note,
    list_creditable_lines,
    void_credit_note,
)
from billing.settlement.payments import (
    Receipt,
    calculate_refund_due,
    record_payment,
    record_refund,
    reverse_payment,
    sum_refunds,
)
from billing.settlement.wallets import CreditSpent
from tests.billing.invoices import at_once, later, make_draft, make_finalized
from tests.billing.world import D
from tests.factories import make_user

pytestmark = pytest.mark.django_db
NOW, D0 = later(), D(0)


def draft(invoice, *amounts, reason="billing_error", **given):
    lines = [line.pk for line in invoice.lines.order_by("position")]
    wanted = dict(zip(lines, map(D, amounts), strict=False))
    return draft_credit_note(invoice, wanted, reason=reason, by=None, **given)


def credit(invoice, *amounts, **given):
    return finalize_credit_note(draft(invoice, *amounts, **given), now=NOW, by=None)


def fresh(row):
    row.refresh_from_db()
    return row


def pay_back(note, amount, **given):
    receipt = Receipt(D(amount), NOW.date(), **given)
    return record_refund(note.invoice, receipt, reason=f"Refund of {note}", credit_note=note, now=NOW, by=None)


def test_a_credit_note_lowers_what_is_due_of_an_unpaid_invoice():
    invoice, by = make_finalized("60", "40"), make_user()
    note = finalize_credit_note(draft(invoice, "25", "10"), now=NOW, by=by)
    assert (note.number, note.state, note.total, note.refund_due, note.finalized_by) == (
        "CN-000001", "finalized", D(35), D(0), by,
    )  # fmt: skip
    assert (fresh(invoice).amount_credited, invoice.amount_remaining, invoice.state) == (D(35), D(65), "finalized")
    with pytest.raises(CannotPay, match=r"\$65\.00 that is left"):
        record_payment(invoice, Receipt(D("65.01"), NOW.date()), now=NOW, by=None)


def test_a_draft_changes_nothing_of_the_invoice_but_holds_what_it_credits():
    invoice = make_finalized("60", "40")
    draft(invoice, "25")
    assert (fresh(invoice).amount_credited, invoice.amount_remaining) == (D(0), D(100))
    assert [line.remaining for line in list_creditable_lines(invoice)] == [D(35), D(40)]
    assert calculate_creditable_amount(invoice) == D(75)


def test_crediting_all_of_an_unpaid_invoice_settles_it():
    invoice = make_finalized("100")
    credit(invoice, "100")
    assert (fresh(invoice).state, invoice.paid_at, invoice.amount_paid) == ("paid", NOW, D(0))


def test_a_credit_note_on_a_paid_invoice_is_to_be_given_back_and_then_is():
    invoice = make_finalized("100")
    mark_paid(invoice, now=NOW)
    note = credit(invoice, "30")
    assert (note.refund_due, fresh(invoice).state, calculate_refund_due(invoice)) == (D(30), "paid", D(30))
    pay_back(note, "12.50", reference="wire 9")
    assert (sum_refunds(note), calculate_refund_due(fresh(invoice))) == (D("12.50"), D("17.50"))
    with pytest.raises(
        CannotPay, match=r"\$17\.51 is more than the \$17\.50 that is owed to the customer by CN-000001"
    ):
        pay_back(note, "17.51")
    pay_back(note, "17.50")
    assert (fresh(invoice).state, invoice.amount_paid, invoice.amount_remaining) == ("paid", D(70), D(0))


def test_of_a_part_paid_invoice_a_credit_note_takes_off_what_is_left_and_gives_back_the_rest():
    invoice = make_finalized("100")
    record_payment(invoice, Receipt(D(60), NOW.date()), now=NOW, by=None)
    note = credit(invoice, "50")
    # $40 was left to pay: that is gone, and $10 goes back
    assert (note.refund_due, fresh(invoice).state, calculate_refund_due(invoice)) == (D(10), "paid", D(10))


def test_a_bounced_payment_leaves_due_what_was_charged_less_credit_plus_what_was_given_back():
    invoice = make_finalized("100")
    payment = record_payment(invoice, Receipt(D(100), NOW.date()), now=NOW, by=None)
    pay_back(credit(invoice, "30"), "30")
    reverse_payment(payment, reason="Bounced", now=NOW, by=None)
    assert (fresh(invoice).state, invoice.amount_remaining) == ("finalized", D(100))


def test_more_than_is_left_of_a_line_is_refused():
    invoice = make_finalized("60", "40")
    credit(invoice, "25")
    with pytest.raises(CannotCredit, match=r"\$35\.01 is more than the \$35\.00 that is left to credit of “Item 1”"):
        draft(invoice, "35.01")
    credit(invoice, "35")


def test_a_credit_line_of_the_invoice_lowers_what_can_be_credited_of_it():
    invoice = make_finalized("30", "-20")
    with pytest.raises(CannotCredit, match=r"\$10\.01 with tax is more than the \$10\.00"):
        draft(invoice, "10.01")
    with pytest.raises(CannotCredit, match=r"\$1\.00 is more than the \$0\.00 that is left to credit of “Item 2”"):
        draft(invoice, "0", "1")
    credit(invoice, "10")


@pytest.mark.parametrize(("amount", "currency"), [("-1", "USD"), ("1.005", "USD"), ("0.5", "JPY")])
def test_amounts_to_credit_are_above_zero_and_in_whole_units(amount, currency):
    with pytest.raises(CannotCredit, match="above zero"):
        draft(make_finalized("100", currency=currency), amount)


def test_a_credit_note_needs_a_reason_an_amount_and_a_finalized_invoice_of_its_lines():
    invoice, other = make_finalized("100"), make_finalized("100")
    with pytest.raises(ReasonMissing):
        draft(invoice, "1", reason="")
    with pytest.raises(CannotCredit, match="at least one line"):
        draft(invoice, "0")
    with pytest.raises(CannotCredit, match="only a finalized invoice is credited"):
        draft(make_draft("100"), "1")
    with pytest.raises(CannotCredit, match="isn't of INV-000001"):
        draft_credit_note(invoice, {other.lines.get().pk: D(1)}, reason="duplicate", by=None)


def test_drafting_with_the_same_key_and_finalizing_are_done_once():
    invoice = make_finalized("100")
    note = draft(invoice, "10", idempotency_key="k1")
    assert draft(invoice, "10", idempotency_key="k1") == note
    first = finalize_credit_note(note, now=NOW, by=None)
    assert finalize_credit_note(note, now=later(2), by=None).finalized_at == first.finalized_at
    assert (CreditNote.objects.count(), fresh(invoice).amount_credited) == (1, D(10))


def test_numbers_have_no_gap_when_finalizing_fails_in_between():
    invoice = make_finalized("100")
    credit(invoice, "1")
    with transaction.atomic():
        finalize_credit_note(draft(invoice, "1"), now=NOW, by=None)
        transaction.set_rollback(True)
    credit(invoice, "1")
    assert list(CreditNote.objects.order_by("pk").values_list("number", flat=True)) == ["CN-000001", "CN-000002"]
    assert NumberSeries.objects.get(used_for="credit_note").next_number == 3


@pytest.mark.django_db(transaction=True)
def test_two_clerks_at_once_cant_credit_more_than_was_charged():
    invoice = make_finalized("100")
    done = at_once(lambda: credit(invoice, "60"), lambda: credit(invoice, "60"))
    assert sorted(type(each).__name__ for each in done) == ["CannotCredit", "CreditNote"]
    assert fresh(invoice).amount_credited == D(60)


@pytest.mark.django_db(transaction=True)
def test_many_credit_notes_at_once_have_numbers_without_a_gap():
    invoices = [make_finalized("100") for _ in range(6)]
    at_once(*[lambda invoice=invoice: credit(invoice, "60") for invoice in invoices])
    numbers = sorted(str(note) for note in CreditNote.objects.all())
    assert numbers == [f"CN-{n:06d}" for n in range(1, 7)]


def test_a_void_credit_note_keeps_its_number_and_its_invoice_is_due_again():
    invoice = make_finalized("100")
    note = credit(invoice, "100")
    with pytest.raises(ReasonMissing):
        void_credit_note(note, reason="", now=NOW, by=None)
    gone = void_credit_note(note, reason="Was right after all", now=NOW, by=None)
    assert (gone.state, gone.number) == ("void", "CN-000001")
    assert (fresh(invoice).state, invoice.amount_remaining, invoice.paid_at) == ("finalized", D(100), None)
    assert [line.remaining for line in list_creditable_lines(invoice)] == [D(100)]
    with pytest.raises(CannotCredit, match="is void"):
        finalize_credit_note(note, now=NOW, by=None)


def test_a_draft_that_is_void_never_had_a_number():
    invoice = make_finalized("100")
    gone = void_credit_note(draft(invoice, "100"), reason="Not agreed", now=NOW, by=None)
    assert (gone.state, gone.number, calculate_creditable_amount(invoice)) == ("void", None, D(100))


def test_a_credit_note_isnt_void_while_its_refund_is_out():
    invoice = make_finalized("100")
    mark_paid(invoice, now=NOW)
    note = credit(invoice, "30")
    row = pay_back(note, "30")
    with pytest.raises(CannotCredit, match=r"\$30\.00 of CN-000001 was given back"):
        void_credit_note(note, reason="Wrong", now=NOW, by=None)
    reverse_payment(row, reason="Came back", now=NOW, by=None)
    assert void_credit_note(note, reason="Wrong", now=NOW, by=None).state == "void"
    assert (fresh(invoice).state, invoice.amount_remaining) == ("paid", D(0))


def test_the_tax_of_what_is_credited_is_the_invoices_and_adds_up():
    # $90.00 after a discount of $10, 19 % on top: $17.10
    invoice = make_draft("100")
    line = invoice.lines.get()
    line.discount_amount, line.tax_amount = D(10), D("17.10")
    line.save()
    invoice.discount_total, invoice.tax_total = D(10), D("17.10")
    invoice.total = invoice.amount_due = D("107.10")
    invoice.save()
    invoice = finalize(invoice, now=NOW)
    first = credit(invoice, "30.01")
    # 17.10 × 30.01 ÷ 90 = 5.7019
    assert (first.subtotal, first.tax_total, first.total) == (D("30.01"), D("5.70"), D("35.71"))
    with pytest.raises(CannotCredit, match=r"\$60\.00 is more than the \$59\.99"):
        draft(invoice, "60")
    rest = credit(invoice, "59.99")
    assert (rest.tax_total, fresh(invoice).amount_credited, invoice.state) == (D("11.40"), D("107.10"), "paid")


def taxed(*, tax=D0, tax_included=D0):
    """Make a finalized invoice of one line of $1.00 with its tax."""
    invoice = make_draft("1", tax_total=tax, total=1 + tax, amount_due=1 + tax)
    invoice.lines.update(tax_amount=tax, tax_included=tax_included)
    return finalize(invoice, now=NOW)


def test_after_one_in_the_middle_is_void_no_tax_is_below_zero_and_all_of_it_comes_back():
    # $1.00 and 5 %: $0.05. The first three take 0.05 × 0.10 = 0.005, rounded 0.01; 0.01 - 0.01; 0.015, rounded 0.02.
    invoice = taxed(tax=D("0.05"))
    first, second, third = (credit(invoice, "0.10") for _ in range(3))
    assert [note.tax_total for note in (first, second, third)] == [D("0.01"), D("0.00"), D("0.01")]
    void_credit_note(second, reason="Wrong", now=NOW, by=None)
    # 0.05 × 0.21 = 0.0105, rounded 0.01: 0.02 are credited already
    assert credit(fresh(invoice), "0.01").tax_total == D(0)
    rest = credit(fresh(invoice), "0.79")
    assert (rest.tax_total, fresh(invoice).amount_credited, invoice.state) == (D("0.03"), D("1.05"), "paid")


def test_tax_inside_a_price_is_never_credited_below_zero_either():
    invoice = taxed(tax_included=D("0.05"))
    _, second, _ = (credit(invoice, "0.10") for _ in range(3))
    void_credit_note(second, reason="Wrong", now=NOW, by=None)
    assert [credit(fresh(invoice), amount).tax_included for amount in ("0.01", "0.79")] == [D(0), D("0.03")]


def test_a_credit_note_on_a_paid_invoice_gives_its_tax_back_too():
    # $50.00 and 8.25 %: $4.125, rounded to $4.13
    invoice = make_draft("50", tax_total=D("4.13"), total=D("54.13"), amount_due=D("54.13"))
    invoice.lines.update(tax_amount=D("4.13"))
    invoice = finalize(invoice, now=NOW)
    mark_paid(invoice, now=NOW)
    # 4.13 × 20 ÷ 50 = 1.652
    note = credit(invoice, "20")
    assert (note.tax_total, note.total, note.refund_due) == (D("1.65"), D("21.65"), D("21.65"))
    rest = credit(invoice, "30")
    assert (rest.tax_total, rest.total, calculate_refund_due(fresh(invoice))) == (D("2.48"), D("32.48"), D("54.13"))


def test_tax_inside_a_price_is_credited_with_it():
    # €119.00 contains 19 %: €19.00
    invoice = make_draft("119", currency="EUR")
    invoice.lines.update(tax_included=D(19))
    note = credit(finalize(invoice, now=NOW), "59.50")
    assert (note.total, note.tax_total, note.tax_included) == (D("59.50"), D(0), D("9.50"))


def test_what_is_owed_back_becomes_prepaid_credit_if_the_credit_note_says_so():
    invoice = make_finalized("100")
    mark_paid(invoice, now=NOW)
    note = credit(invoice, "30", refund_to="wallet")
    wallet = Wallet.objects.get(customer=invoice.customer)
    assert (wallet.balance, sum_refunds(note), calculate_refund_due(fresh(invoice))) == (D(30), D(30), D(0))
    row = note.refunds.get()
    assert (row.method, row.amount, row.reason) == ("wallet", D(-30), "Credit note CN-000001")
    reverse_payment(row, reason="Paid by wire instead", now=NOW, by=None)
    assert (fresh(wallet).balance, calculate_refund_due(fresh(invoice))) == (D(0), D(30))


def test_credit_that_was_used_isnt_taken_back():
    invoice = make_finalized("100")
    mark_paid(invoice, now=NOW)
    note = credit(invoice, "30", refund_to="wallet")
    finalize(make_draft("10", customer=invoice.customer), now=NOW)
    with pytest.raises(CreditSpent):
        reverse_payment(note.refunds.get(), reason="Paid by wire instead", now=NOW, by=None)


def test_an_invoice_with_a_credit_note_isnt_void():
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
def test_postgresql_refuses_a_credit_note_that_its_invoice_doesnt_count():
    note = draft(make_finalized("100"), "10")
    note.state, note.number, note.finalized_at = "finalized", "CN-1", NOW
    with pytest.raises(IntegrityError, match="don't add up"), transaction.atomic():
        note.save()


def test_postgresql_refuses_lines_beyond_what_was_charged():
    invoice = make_finalized("100")
    note = draft(invoice, "90")
    other = draft(invoice, "10")
    with pytest.raises(IntegrityError, match="can be credited up to its amount"), transaction.atomic():
        other.lines.update(amount=D("10.01"))
    assert note.lines.count() == 1


def test_drafting_costs_the_same_queries_whatever_the_number_of_lines(django_assert_max_num_queries):
    from django.db import connection as default
    from django.test.utils import CaptureQueriesContext

    short, long = make_finalized("1", "1"), make_finalized(*["1"] * 20)
    draft(make_finalized("1"), "1")
    with CaptureQueriesContext(default) as few:
        draft(short, "1", "1")
    with django_assert_max_num_queries(len(few)):
        draft(long, *["1"] * 20)
