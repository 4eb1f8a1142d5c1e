"""One-off invoices: entered items, totals in the currency's precision, one invoice per reference."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.one_off import Item, OneOffTerms, create_one_off, update_one_off
from billing.models import Invoice, NumberSeries, TaxAssignment, TaxRate
from billing.refusals import CannotChange
from customers.periods import Period
from tests.billing.invoices import at_once, later
from tests.billing.world import D, bill, utc
from tests.factories import make_customer, make_subscription, make_user

pytestmark = pytest.mark.django_db
NOW = later()


def write(*items, customer=None, currency="USD", **options):
    item_list = [Item(*item) if isinstance(item, tuple) else item for item in items]
    return create_one_off(
        customer or make_customer(), item_list, currency=currency, now=NOW, by=options.pop("by", None), **options
    )


@pytest.mark.parametrize(
    ("currency", "amounts", "total"),
    [
        # 3 × 19.995 = 59.985, 1.5 × 0.333333 = 0.4999995
        ("USD", ["59.99", "0.50"], "60.49"),
        ("JPY", ["60", "0"], "60"),
        ("BHD", ["59.985", "0.500"], "60.485"),
    ],
)
def test_each_item_is_rounded_once_and_the_total_adds_them(currency, amounts, total):
    invoice = write(("Setup", D("19.995"), D(3)), ("Consulting", D("0.333333"), D("1.5")), currency=currency)
    assert [line.amount for line in invoice.lines.all()] == [D(amount) for amount in amounts]
    assert (invoice.subtotal, invoice.total, invoice.amount_due, invoice.state) == (*[D(total)] * 3, "draft")
    assert invoice.lines.all()[1].exact_amount == D("0.4999995")


def test_the_customers_taxes_are_added():
    customer = make_customer()
    rate = TaxRate.objects.create(code="vat", name="VAT", percentage=D(19))
    TaxAssignment.objects.create(rate=rate, customer=customer)
    invoice = write(("Setup", D("99.99")), customer=customer)
    # 99.99 × 19 % = 18.9981
    assert (invoice.subtotal, invoice.tax_total, invoice.total) == (D("99.99"), D("19.00"), D("118.99"))
    assert [line.kind for line in invoice.lines.all()] == ["item", "tax"]
    changed = update_one_off(invoice, [Item("Setup", D(10))], terms=OneOffTerms(), now=NOW, by=None)
    assert (changed.tax_total, changed.total, changed.lines.count()) == (D("1.90"), D("11.90"), 2)


def test_only_an_invoice_marked_as_credit_can_have_a_negative_total():
    assert write(("Setup", D(100)), ("Goodwill", D(-30))).total == D(70)
    assert write(("Setup", D(100)), ("Goodwill", D(-100))).total == D(0)
    with pytest.raises(CannotChange, match=r"total -\$0\.01\. Mark the invoice as a credit"):
        write(("Setup", D(100)), ("Goodwill", D("-100.01")))
    credit = write(("Goodwill", D(-30)), terms=OneOffTerms(is_credit=True))
    done = finalize(credit, now=NOW)
    assert (done.state, done.total, done.amount_due, done.customer.wallets.get().balance) == ("paid", D(-30), 0, D(30))


@pytest.mark.parametrize(
    ("items", "currency", "reason"),
    [
        ([], "USD", "at least one item"),
        ([(" ", D(1))], "USD", "Item 1 needs a description"),
        ([("Setup", D(1), D(0))], "USD", "Item 1: enter a positive quantity"),
        ([("Setup", D(1))], "XXZ", "isn't a currency"),
    ],
)
def test_invalid_items_are_refused(items, currency, reason):
    with pytest.raises(CannotChange, match=reason):
        write(*items, currency=currency)
    assert not Invoice.objects.exists()


def test_a_draft_can_be_edited_until_it_is_finalized():
    by = make_user()
    september = Period(utc(2026, 9, 1), utc(2026, 10, 1))
    invoice = write(Item("Support", D(10), period=september), terms=OneOffTerms(memo="PO 7", due_at=later(9)), by=by)
    assert invoice.lines.get().period_start == september.start
    assert finalize_due(now=later(400)) == 0
    update_one_off(invoice, [Item("Support", D(12))], terms=OneOffTerms(memo="PO 8", due_at=later(9)), now=NOW, by=by)
    done = finalize(invoice, now=NOW, by=by)
    assert (done.number, done.total, done.memo, done.due_at) == ("INV-000001", D(12), "PO 8", later(9))
    with pytest.raises(CannotChange, match="can't change"):
        update_one_off(invoice, [Item("Support", D(1))], terms=OneOffTerms(), now=NOW, by=by)


def test_the_items_of_a_subscriptions_draft_cant_be_edited():
    make_subscription()
    with pytest.raises(CannotChange, match="Add extra lines to its draft"):
        update_one_off(bill(utc(2026, 1, 1))[0], [Item("x", D(1))], terms=OneOffTerms(), now=NOW, by=None)


def test_one_reference_creates_one_invoice():
    customer = make_customer()
    first = write(("Setup", D(1)), customer=customer, external_reference="order-7")
    assert write(("Setup", D(2)), customer=customer, external_reference="order-7") == first
    with pytest.raises(CannotChange, match="another customer's"):
        write(("Setup", D(1)), external_reference="order-7")
    assert Invoice.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_concurrent_requests_with_one_reference_create_one_invoice():
    customer = make_customer()
    done = at_once(*[lambda: write(("Setup", D(1)), customer=customer, external_reference="order-7")] * 2)
    assert done[0] == done[1]
    assert Invoice.objects.count() == 1


def test_a_chosen_series_has_its_own_numbers_without_a_gap():
    projects = NumberSeries.objects.create(name="projects", prefix="PRJ-", width=4)
    numbers = [
        finalize(write(("Setup", D(1)), terms=OneOffTerms(series=series)), now=NOW).number
        for series in (projects, None, projects)
    ]
    assert numbers == ["PRJ-0001", "INV-000001", "PRJ-0002"]
    notes = NumberSeries.objects.create(name="notes", prefix="X-", used_for="credit_note")
    with pytest.raises(CannotChange, match="isn't a series for invoices"):
        write(("Setup", D(1)), terms=OneOffTerms(series=notes))


def test_the_number_of_items_does_not_change_query_count(django_assert_max_num_queries):
    customer = make_customer()
    write(("Setup", D(1)), customer=customer)
    with CaptureQueriesContext(connection) as few:
        write(("Setup", D(1)), customer=customer)
    with django_assert_max_num_queries(len(few)):
        write(*[("Setup", D(1))] * 30, customer=customer)
