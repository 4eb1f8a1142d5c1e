"""One-off invoices with their own coupons and taxes, through the domain, the API and the admin."""

import pytest
from django.urls import reverse

from billing.adjustments.coupons import CannotApply
from billing.lifecycle.finalize import finalize
from billing.lifecycle.one_off import Item, OneOffTerms, create_one_off, preview_one_off, update_one_off
from billing.lifecycle.void import delete_draft, void
from billing.models import CouponApplication, CouponUse, Invoice
from tests.billing.adjusting import START, adds_up, give, make_coupon, make_tax, totals
from tests.billing.world import D, bill
from tests.factories import make_customer, make_subscription, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer():
    return make_customer(external_id="acme", name="Acme")


def make_one_off(customer, *amounts, **terms):
    items = [Item("Setup", D(amount)) for amount in amounts or ("10",)]
    return create_one_off(customer, items, currency="USD", terms=OneOffTerms(**terms), now=START, by=None)


def test_a_coupon_reduces_the_one_off_invoice_that_it_is_for(customer):
    coupon = make_coupon(50, max_redemptions=1)
    invoice = make_one_off(customer, coupons=[coupon])
    assert (totals(invoice)[:4], adds_up(invoice)) == ([10, 5, 0, 5], True)
    assert finalize(invoice, now=START).amount_due == 5
    with pytest.raises(CannotApply, match="its limit is 1"):
        make_one_off(customer, coupons=[coupon])
    assert Invoice.objects.count() == 1


def test_a_customers_coupons_do_not_reduce_one_off_invoices_nor_the_other_way_round(customer):
    give(make_coupon(10), customer)
    invoice = make_one_off(customer, coupons=[make_coupon(50)])
    assert invoice.total == 5
    fee = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30)}
    make_subscription(customer=customer, plan=make_version(fee), starts_at=START, now=START)
    assert [draft.discount_total for draft in bill(START)] == [3]


def test_tax_rates_of_a_one_off_invoice_replace_those_of_the_customer(customer):
    make_tax(20, of=customer)
    rate = make_tax(7, of=make_customer())
    assert make_one_off(customer).tax_total == 2
    invoice = make_one_off(customer, "100", coupons=[make_coupon(amount=50)], tax_rates=[rate])
    assert totals(invoice)[:4] == [100, 50, D("3.50"), D("53.50")]


def test_changed_items_keep_the_drafts_coupons_and_taxes(customer):
    rate, coupon = make_tax(10, of=make_customer()), make_coupon(50)
    invoice = make_one_off(customer, coupons=[coupon], tax_rates=[rate])
    items = [Item("Setup", D(100))]
    updated = update_one_off(invoice, items, terms=OneOffTerms(), now=START, by=None)
    assert (totals(updated)[:4], adds_up(updated)) == ([100, 50, 5, 55], True)
    assert CouponUse.objects.get().amount == 50
    updated = update_one_off(invoice, items, terms=OneOffTerms(coupons=[], tax_rates=[]), now=START, by=None)
    assert (updated.total, CouponApplication.objects.count(), updated.tax_rates.count()) == (100, 0, 0)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"scope": "usage"}, "Only a discount on everything reduces a one-off invoice"),
        ({"amount": 5, "currency": "EUR"}, "is in EUR; the invoice is in USD"),
        ({"archived_at": START}, "is archived"),
    ],
)
def test_a_coupon_that_can_not_reduce_the_invoice_is_refused(customer, terms, message):
    with pytest.raises(CannotApply, match=message):
        make_one_off(customer, coupons=[make_coupon(**terms)])
    assert not Invoice.objects.exists()


def test_a_deleted_draft_and_a_void_invoice_return_the_use(customer):
    coupon = make_coupon(50, max_redemptions=1)
    delete_draft(make_one_off(customer, coupons=[coupon]))
    assert not CouponApplication.objects.exists()
    invoice = finalize(make_one_off(customer, coupons=[coupon]), now=START)
    void(invoice, reason="Wrong", by=None, now=START)
    assert CouponUse.objects.get().returned_at == START


def test_a_preview_shows_what_the_coupon_and_the_tax_do(customer):
    terms = OneOffTerms(coupons=[make_coupon(50)], tax_rates=[make_tax(10, of=make_customer())])
    invoice, lines = preview_one_off(customer, [Item("Setup", D(10))], currency="USD", terms=terms, now=START)
    assert (invoice.total, [line.amount for line in lines]) == (D("5.50"), [10, -5, D("0.50")])
    assert not CouponApplication.objects.exists()


def test_the_api_creates_a_one_off_invoice_with_coupons_and_taxes(api, customer):
    coupon, rate = make_coupon(50), make_tax(10, of=make_customer())
    body = {
        "customer_id": customer.public_id, "currency": "USD", "subtotal": "10.00", "total": "5.50",
        "amount_due": "5.50",
        "coupons": [coupon.code], "tax_rates": [rate.public_id], "idempotency_key": "order-7",
    }  # fmt: skip
    made = api.post("invoices", body, 201)
    assert [made[name] for name in ("subtotal", "total_discount", "total_tax", "total")] == [
        "10.00", "5.00", "0.50", "5.50",
    ]  # fmt: skip
    assert api.post("invoices", body, 201)["id"] == made["id"]
    listed = api.get("coupons/associations")["items"]
    assert [row["invoice_id"] for row in listed] == [made["id"]]
    refused = api.delete(f"coupons/associations/{listed[0]['id']}", status=400)
    assert refused["message"] == "This discount is for one invoice only. Edit its draft instead."
    for wrong in ({"coupons": ["NONE"]}, {"tax_rates": ["NONE"]}):
        fresh = {"idempotency_key": "order-8"} | wrong
        assert next(iter(wrong)) in api.post("invoices", body | fresh, status=400)["details"]


def test_the_admin_creates_a_one_off_invoice_with_coupons_and_taxes(staff_client, customer):
    coupon, rate = make_coupon(50), make_tax(10, of=make_customer())
    form = {
        "customer": customer.pk, "currency": "USD", "coupons": [coupon.pk], "tax_rates": [rate.pk],
        "items-TOTAL_FORMS": 1, "items-INITIAL_FORMS": 0,
        "items-0-description": "Setup", "items-0-quantity": "1", "items-0-unit_amount": "10",
    }  # fmt: skip
    effect = staff_client.post(reverse("admin:billing_one_off_effect"), form).content.decode()
    assert "$5.50" in effect
    staff_client.post(reverse("admin:billing_new_one_off"), form)
    invoice = Invoice.objects.get()
    assert invoice.total == D("5.50")
    page = staff_client.get(reverse("admin:billing_edit_one_off", args=[invoice.pk])).content.decode()
    assert f'<option value="{coupon.pk}" selected' in page
