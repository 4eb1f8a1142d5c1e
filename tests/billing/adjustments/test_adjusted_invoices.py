"""Subscription invoices with discounts, taxes and prepaid credit. Expected amounts are calculated by hand."""

import pytest
from django.db import Error, transaction

from billing.invoicing.upcoming import upcoming
from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.one_off import Item, create_one_off
from billing.lifecycle.recompute import recompute
from billing.lifecycle.void import reissue, void
from billing.models import CouponUse, Invoice, InvoiceLine
from customers.subscriptions import cancel
from tests.billing.adjusting import END, START, adds_up, give, make_coupon, make_credit, make_tax, totals
from tests.billing.world import D, bill, lines, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer():
    return make_customer(name="Acme")


def metered(customer, *amounts, currency="USD"):
    """Subscribe the customer to a plan, and use so much of each of its features that they cost these amounts."""
    features = [make_feature(name=f"Feature {place}") for place, _ in enumerate(amounts)]
    version = make_version(*({"feature": feature, "unit_amount": D(1), "currency": currency} for feature in features))
    subscription = make_subscription(customer=customer, plan=version, starts_at=START, now=START, currency=currency)
    for feature, amount in zip(features, amounts, strict=True):
        use(customer, feature, utc(2026, 9, 5), amount)
    return subscription, features


def fee(customer, amount=30, **given):
    terms = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(amount)}
    return make_subscription(customer=customer, plan=make_version(terms), starts_at=START, now=START, **given)


def said(invoice):
    return [(line.kind, line.description, line.amount) for line in invoice.lines.all()][-3:]


def test_percentages_come_before_amounts_then_tax_then_credit(customer):
    _, (first, _) = metered(customer, 80, 20)
    give(make_coupon(25, scope="chosen", features=[first], code="QUARTER", name="A quarter off"), customer)
    give(make_coupon(amount=10, code="TEN", name="Ten off"), customer)
    make_tax("8.25", name="Sales tax")
    make_credit(customer, 5)
    [invoice] = bill(END)
    # 80 + 20 = 100; 25% of 80 is 20, and 10 more: 70 is taxed, 8.25% of it is 5.775.
    assert totals(invoice) == [D(100), D(30), D("5.78"), D("75.78"), D(5), D("70.78")]
    assert said(invoice) == [
        ("discount", "A quarter off (QUARTER): 25% off", D(-20)),
        ("discount", "Ten off (TEN): $10.00 off", D(-10)),
        ("tax", "Sales tax 8.25% of $70.00", D("5.78")),
    ]
    assert adds_up(invoice)
    # 60 and 20 are left of the two lines; the ten spreads by share: 7.50 and 2.50.
    assert [(line.discount_amount, line.tax_amount) for line in invoice.lines.all()[:2]] == [
        (D("27.5"), D("4.33")),
        (D("2.5"), D("1.45")),
    ]


def test_two_percentages_apply_one_after_the_other(customer):
    metered(customer, 100)
    for _ in range(2):
        give(make_coupon(10), customer)
    assert totals(bill(END)[0])[:4] == [D(100), D(19), D(0), D(81)]


def test_two_taxes_are_charged_on_the_same_amount(customer):
    metered(customer, 100)
    make_tax(6, name="State")
    make_tax(2, name="County")
    [invoice] = bill(END)
    assert invoice.tax_total == D(8)
    assert said(invoice)[1:] == [("tax", "State 6% of $100.00", D(6)), ("tax", "County 2% of $100.00", D(2))]


@pytest.mark.parametrize(
    ("currency", "used", "tax", "total"),
    [("JPY", 1015, "102", "1117"), ("BHD", 10, "1.000", "11.000")],
)
def test_tax_is_rounded_to_the_currency(customer, currency, used, tax, total):
    metered(customer, used, currency=currency)
    make_tax(10)
    [invoice] = bill(END)
    assert (invoice.tax_total, invoice.total) == (D(tax), D(total))


def test_dinar_amounts_have_three_decimals(customer):
    metered(customer, 10, currency="BHD")
    give(make_coupon("33.333", currency=""), customer)
    make_tax(5)
    # 33.333% of 10 is 3.3333 -> 3.333; 5% of 6.667 is 0.33335 -> 0.333.
    assert totals(bill(END)[0])[:4] == [D(10), D("3.333"), D("0.333"), D("7.000")]


def test_an_inclusive_tax_doesnt_change_the_total_and_has_its_own_line(customer):
    metered(customer, 120)
    make_tax(20, is_inclusive=True)
    [invoice] = bill(END)
    assert totals(invoice) == [D(120), D(0), D(0), D(120), D(0), D(120)]
    assert invoice.tax_included == D(20)
    assert said(invoice)[-1] == ("tax", "VAT 20% of $100.00: $20.00 contained in the prices", D(0))
    assert adds_up(invoice)


def test_an_exempt_customer_pays_no_tax_and_the_invoice_says_why(customer):
    customer.tax_treatment, customer.tax_note = "exempt", "Certificate 4711"
    customer.save()
    metered(customer, 100)
    make_tax(20)
    [invoice] = bill(END)
    assert (invoice.total, invoice.tax_treatment, invoice.tax_note) == (D(100), "exempt", "Certificate 4711")
    assert not invoice.lines.filter(kind="tax").exists()


def test_under_reverse_charge_the_tax_is_shown_and_not_charged(customer):
    customer.tax_treatment = "reverse_charge"
    customer.save()
    metered(customer, 100)
    make_tax(20)
    [invoice] = bill(END)
    assert (invoice.total, invoice.tax_note) == (D(100), "Reverse charge: the recipient accounts for the tax.")
    assert said(invoice)[-1] == ("tax", "VAT 20% of $100.00: owed by the recipient", D(0))


def test_a_subscriptions_taxes_replace_the_customers_and_those_the_companys(customer):
    subscription, _ = metered(customer, 100)
    make_tax(20)
    make_tax(7, of=customer)
    assert upcoming(subscription.pk, now=utc(2026, 9, 20)).total == D(107)
    make_tax(5, of=subscription)
    assert upcoming(subscription.pk, now=utc(2026, 9, 20)).total == D(105)


def test_a_company_tax_with_a_country_applies_to_customers_there(customer):
    subscription, _ = metered(customer, 100)
    make_tax(19, country="DE")
    assert upcoming(subscription.pk, now=utc(2026, 9, 20)).total == D(100)
    customer.address_country = "DE"
    customer.save()
    assert upcoming(subscription.pk, now=utc(2026, 9, 20)).total == D(119)


@pytest.mark.parametrize(
    ("given", "dues"),
    [
        ({"duration": "once"}, [27, 30, 30, 30]),
        ({"duration": "repeated", "periods": 3}, [27, 27, 27, 30]),
        ({"duration": "forever"}, [27, 27, 27, 27]),
    ],
)
def test_a_discount_lasts_for_one_invoice_some_or_all(customer, given, dues):
    subscription = fee(customer)
    give(make_coupon(10, **given), subscription)
    bill(utc(2026, 12, 1))
    assert [invoice.total for invoice in Invoice.objects.order_by("period_end", "pk")] == dues


def test_an_invoice_without_charges_doesnt_use_up_a_discount(customer):
    feature = make_feature(name="Gigabytes", field="gb")
    version = make_version({"feature": feature, "unit_amount": D(1)})
    make_subscription(customer=customer, plan=version, starts_at=START, now=START)
    give(make_coupon(50, duration="once"), customer)
    use(customer, feature, utc(2026, 9, 5), 0)
    use(customer, feature, utc(2026, 10, 5), 100)
    assert [invoice.total for invoice in bill(utc(2026, 11, 1))] == [D(0), D(50)]


def test_two_invoices_of_one_run_use_a_one_time_discount_once(customer):
    fee(customer)
    fee(customer)
    give(make_coupon(10, duration="once"), customer)
    assert sorted(invoice.total for invoice in bill(START)) == [27, 30]


def test_voiding_returns_the_discount_and_the_reissued_invoice_is_equal(customer):
    fee(customer)
    give(make_coupon(10, duration="once"), customer)
    make_tax(20)
    make_credit(customer, 5)
    [invoice] = bill(START)
    finalize(invoice, now=START)
    again = reissue(invoice, reason="Wrong address", by=None, now=START)
    # 30 - 3 = 27, 20% of it is 5.40.
    assert totals(again) == totals(invoice) == [D(30), D(3), D("5.4"), D("32.4"), D(5), D("27.4")]
    assert lines(again) == lines(invoice)
    assert CouponUse.objects.filter(returned_at=None).get().invoice == again
    assert [each.total for each in bill(utc(2026, 10, 1))] == [D(36)]


def test_recalculating_and_finalizing_keep_the_drafts_discount_use(customer):
    fee(customer)
    give(make_coupon(10, duration="once"), customer)
    [invoice] = bill(START)
    assert recompute(invoice, now=START).total == D(27)
    assert finalize_due(now=START) == 1
    assert (Invoice.objects.get().total, CouponUse.objects.count()) == (D(27), 1)


def test_a_credited_fee_credits_no_more_than_was_paid_for_it(customer):
    subscription = fee(customer)
    give(make_coupon(10, duration="once"), customer)
    [opening] = bill(START)
    finalize(opening, now=START)
    cancel(subscription, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    [final] = bill(utc(2026, 9, 11))
    # 20 of 30 days unused: $20 of the fee, less $2 of its discount.
    assert (final.subtotal, final.discount_total, final.total) == (D(-20), D(-2), D(-18))
    assert said(final)[-1] == ("discount", "Discounts of credited fees, reversed", D(2))
    assert adds_up(final)


def test_the_upcoming_invoice_equals_the_one_that_is_issued(customer):
    subscription, (first, _) = metered(customer, 80, 20)
    give(make_coupon(25, scope="chosen", features=[first]), customer)
    give(make_coupon(amount=10, duration="once"), customer)
    make_tax("8.25")
    make_credit(customer, 5)
    coming = upcoming(subscription.pk, now=utc(2026, 9, 30, 23)).invoice
    [invoice] = bill(END)
    adjusted = coming.adjusted
    assert [
        adjusted.subtotal, adjusted.discount, adjusted.tax, adjusted.total, adjusted.credits, adjusted.due,
    ] == totals(invoice)  # fmt: skip
    assert [line.description for line in adjusted.lines] == [line.description for line in invoice.lines.all()[2:]]


def test_a_discount_runs_from_its_start_until_its_end(customer):
    fee(customer)
    application = give(make_coupon(10), customer, starts_at=utc(2026, 10, 1))
    application.ended_at = utc(2026, 11, 1)
    application.save()
    assert [invoice.total for invoice in bill(utc(2026, 11, 1))] == [D(30), D(27), D(30)]


def test_a_discount_on_fees_excludes_usage_and_the_reverse(customer):
    feature = make_feature(name="Calls")
    terms = {"kind": "fixed", "model": "flat", "cadence": "arrears", "unit_amount": D(30)}
    version = make_version(terms, {"feature": feature, "unit_amount": D(1)})
    make_subscription(customer=customer, plan=version, starts_at=START, now=START)
    use(customer, feature, utc(2026, 9, 5), 100)
    give(make_coupon(10, scope="fees"), customer)
    give(make_coupon(20, scope="usage"), customer)
    [invoice] = bill(END)
    assert {line.kind: line.discount_amount for line in invoice.lines.exclude(kind="discount")} == {
        "fee": D(3),
        "usage": D(20),
    }


def test_items_of_one_off_invoices_are_taxed(customer):
    make_tax(20)
    items = [Item("Setup", D(100)), Item("Rebate", D(-10))]
    invoice = create_one_off(customer, items, currency="USD", now=START, by=None)
    assert totals(invoice) == [D(90), D(0), D(18), D(108), D(0), D(108)]
    assert (invoice.lines.count(), adds_up(invoice)) == (3, True)


def test_lines_added_to_a_subscriptions_draft_are_taxed(customer):
    metered(customer, 100)
    make_tax(20)
    [invoice] = bill(END)
    InvoiceLine.objects.create(invoice=invoice, position=99, kind="item", description="Setup", amount=D(50))
    again = recompute(invoice, now=END)
    assert totals(again)[:4] == [D(150), D(0), D(30), D(180)]
    assert adds_up(again)


def test_the_discount_use_of_a_finalized_invoice_cant_change(customer):
    fee(customer)
    give(make_coupon(10), customer)
    [invoice] = bill(START)
    finalize(invoice, now=START)
    for refused in (
        lambda: CouponUse.objects.update(amount=1),
        lambda: CouponUse.objects.all().delete(),
    ):
        with pytest.raises(Error), transaction.atomic():
            refused()
    void(invoice, reason="Wrong", by=None, now=END)
    assert CouponUse.objects.get().returned_at == END
