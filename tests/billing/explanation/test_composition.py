"""The parts of an invoice, beside the last three invoices."""

import pytest

from billing.explanation.composition import composition
from billing.lifecycle.finalize import finalize
from billing.lifecycle.void import void
from billing.models import Invoice, InvoiceKind
from billing.settlement.payments import Receipt, record_payment
from tests.billing.adjusting import give, make_coupon, make_credit, make_tax
from tests.billing.invoices import ISSUED, make_draft, make_finalized
from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER = utc(2026, 9, 1), utc(2026, 10, 1)


def parts(chart):
    return {series.name: list(series.values) for series in chart.shown_series}


def test_the_parts_add_up_to_the_amount_due_beside_the_last_invoice():
    calls, seats = make_feature(event_name="api.calls", name="API calls"), make_feature(event_name="s", name="Seats")
    fee = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(100)}
    version = make_version(fee, {"feature": calls, "unit_amount": D("0.5")}, {"feature": seats, "unit_amount": D(2)})
    customer = make_customer()
    subscription = make_subscription(customer=customer, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)
    [opening] = bill(SEPTEMBER)
    finalize(opening, now=SEPTEMBER)
    make_tax(20)
    give(make_coupon(10), subscription)
    make_credit(customer, 20)
    use(customer, calls, utc(2026, 9, 5), 80)
    use(customer, seats, utc(2026, 9, 5), 5)
    [invoice] = bill(OCTOBER)
    finalize(invoice, now=OCTOBER)
    invoice.refresh_from_db()
    chart = composition(invoice)
    # $150.00 less 10 % is $135.00; with 20 % tax $162.00; less $20.00 of credit.
    assert parts(chart) == {
        "Fees": [100, 100], "API calls": [0, 40], "Seats": [0, 10],
        "Discounts": [0, -15], "Tax": [0, 27], "Prepaid credit": [0, -20],
    }  # fmt: skip
    assert sum(series.values[-1] or 0 for series in chart.series) == invoice.amount_due == 142
    assert list(chart.links) == [opening.get_absolute_url(), ""]
    assert chart.labels[-1] == f"{invoice} · 1–30 Sep 2026"
    assert chart.title == "Parts of this invoice and the last one"


def test_the_last_three_issued_invoices_of_the_customer_and_currency_are_compared():
    customer = make_customer()
    old, *last = [make_finalized(str(amount), customer=customer) for amount in (1, 2, 3, 4)]
    voided = make_finalized("50", customer=customer)
    void(voided, reason="Wrong", now=ISSUED, by=None)
    make_finalized("9", customer=customer, currency="EUR")
    make_finalized("9")
    make_draft("7", customer=customer)
    record_payment(last[0], Receipt(D(2), ISSUED.date()), now=ISSUED, by=None)
    draft = make_draft("5", customer=customer)
    chart = composition(draft)
    assert parts(chart) == {"Items and credits": [2, 3, 4, 5]}
    assert old.get_absolute_url() not in chart.links


def test_of_many_features_the_largest_have_their_own_part(django_assert_num_queries):
    features = [make_feature(event_name=f"event.{number}", name=f"Feature {number}") for number in range(200)]
    version = make_version(*({"feature": feature, "unit_amount": D(1)} for feature in features))
    subscription = make_subscription(plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)
    for number, feature in enumerate(features):
        use(subscription.customer, feature, utc(2026, 9, 5), number + 1)
    [invoice] = Invoice.objects.select_related("subscription").filter(pk=bill(OCTOBER)[0].pk)
    with django_assert_num_queries(2):
        chart = composition(invoice)
    assert parts(chart) == {
        "Feature 199": [200], "Feature 198": [199], "Feature 197": [198], "Feature 196": [197], "Feature 195": [196],
        "Other usage": [195 * 196 // 2],
    }  # fmt: skip


def test_the_page_of_an_invoice_shows_its_parts(staff_client):
    invoice = make_finalized("100")
    page = staff_client.get(invoice.get_absolute_url())
    assert page.context_data["composition"].title == "Parts of this invoice"
    assert "data-chart" in page.content.decode()
    empty = make_draft(kind=InvoiceKind.ONE_OFF)
    empty.lines.all().delete()
    assert "data-chart" not in staff_client.get(empty.get_absolute_url()).content.decode()
