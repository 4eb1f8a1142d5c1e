"""COPY saves what single inserts save, and the database's rules apply."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from billing.models import Invoice, InvoiceLine
from config.db.bulk_insert import copy_in, new_row
from tests.factories import NOW, START, make_customer, make_subscription

pytestmark = pytest.mark.django_db
HARD_TEXTS = ("", r"\N", "a\tb\nc\rd\\e", "Größe 数 — „quoted“ 'single'", r"\\t")


def draft(**given):
    defaults = {"kind": "one_off", "currency": "USD", "computed_at": NOW, "customer": make_customer()}
    return Invoice(**defaults | given)


def line(invoice, **given):
    return InvoiceLine(**{"invoice": invoice, "position": 1, "kind": "item", "amount": Decimal(1)} | given)


def stored(row):
    """Read a row's columns back, without what two rows never share."""
    found = type(row).objects.filter(pk=row.pk).values().get()
    return {name: value for name, value in found.items() if name not in ("id", "public_id", "created_at", "updated_at")}


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_a_copied_row_equals_a_saved_one(text):
    given = {"customer": make_customer(), "memo": text, "metadata": {text: [text, 1, None, {"a": True}]}}
    saved, copied = draft(**given), draft(**given)
    saved.save()
    copy_in([copied])
    assert stored(copied) == stored(saved)
    assert stored(copied)["memo"] == text


def test_numbers_and_moments_are_saved_exactly():
    subscription = make_subscription()
    period = {"subscription": subscription, "kind": "cycle", "period_start": START, "period_end": NOW}
    invoice = draft(customer=subscription.customer, **period)
    copy_in([invoice])
    exact = {"quantity": Decimal("1E+30"), "exact_amount": Decimal("0.1234567890123456789012345"), "free_units": 0}
    copied, saved = line(invoice, **exact), line(invoice, position=2, **exact)
    copy_in([copied])
    saved.save()
    assert stored(copied) | {"position": 2} == stored(saved)
    assert (Invoice.objects.get().period_start, InvoiceLine.objects.first().quantity) == (START, Decimal("1E+30"))


def test_rows_get_their_keys_in_order_and_can_be_saved_again():
    invoices = [draft(memo=str(number)) for number in range(3)]
    copy_in(invoices)
    assert [invoice.pk for invoice in invoices] == sorted(invoice.pk for invoice in invoices)
    assert [Invoice.objects.get(pk=invoice.pk).memo for invoice in invoices] == ["0", "1", "2"]
    invoices[0].memo = "changed"
    invoices[0].save()
    assert Invoice.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_copy_that_violates_a_constraint_saves_nothing():
    with pytest.raises(IntegrityError, match="invoice_adds_up"):
        copy_in([draft(), draft(total=Decimal(5))])
    invoice = draft()
    invoice.save()
    with pytest.raises(IntegrityError, match="line_position_once"):
        copy_in([line(invoice), line(invoice)])
    assert (list(Invoice.objects.all()), InvoiceLine.objects.count()) == ([invoice], 0)


def test_triggers_run_for_copied_rows():
    invoice = draft()
    invoice.save()
    Invoice.objects.filter(pk=invoice.pk).update(state="paid", paid_at=NOW, number="INV-1", finalized_at=NOW)
    with pytest.raises(IntegrityError, match="lines of a finalized invoice never change"):
        copy_in([line(invoice)])


def test_all_rows_or_none_leave_a_column_to_the_database():
    with pytest.raises(ValueError, match="created_at"):
        copy_in([draft(), draft(created_at=START)])
    invoice = draft(created_at=START)
    copy_in([invoice])
    assert Invoice.objects.get().created_at == START


def test_copying_takes_the_same_statements_for_any_number_of_rows():
    def statements(count):
        rows = [draft() for _ in range(count)]
        with CaptureQueriesContext(connection) as captured:
            copy_in(rows)
        return len(captured)

    assert (statements(0), statements(1), statements(20)) == (0, 2, 2)


def test_a_new_row_is_the_models_own_with_all_its_defaults():
    customer = make_customer()
    columns = {"customer_id": customer.pk, "kind": "one_off", "currency": "USD", "computed_at": NOW}
    fast, plain = new_row(Invoice, columns), Invoice(**columns)
    fast.save()
    plain.save()
    assert stored(fast) == stored(plain)
    assert fast.public_id.startswith("inv_")
    assert fast.public_id != plain.public_id


def test_rows_can_share_a_value_and_auto_now_is_set():
    shared, customer = {"by": "hand"}, make_customer()
    invoices = [draft(customer=customer, metadata=shared, finalize_at=START) for _ in range(3)]
    copy_in([*invoices, draft(customer=customer)])
    found = Invoice.objects.order_by("pk").values_list("metadata", "finalize_at")
    assert list(found) == [(shared, START)] * 3 + [({}, None)]
    assert all(moment > START for moment in Invoice.objects.values_list("updated_at", flat=True))
