"""Why real invoices differ: on the page, in the review, through the API, and between two months of a customer."""

from datetime import date

import pytest
from django.db import transaction
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.documents.invoices import build_invoice_document
from billing.explanation.comparison.invoices import (
    compare_invoices,
    compare_many,
    compare_months,
    previous_invoice,
)
from billing.lifecycle.finalize import finalize
from billing.lifecycle.void import reissue
from billing.models import Invoice
from billing.models.company import save_profile
from billing.refusals import CannotChange
from catalog.models import Feature
from customers.subscriptions import change_plan
from tests.billing.adjusting import give, make_coupon, make_tax
from tests.billing.invoices import make_draft
from tests.billing.invoicing.test_invoice_properties import ANY_CUSTOMER, CUSTOMERS, DAY, HOUR, NOVEMBER, OCTOBER, begin
from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
AUGUST, SEPTEMBER = utc(2026, 8, 1), utc(2026, 9, 1)
FEE = {"kind": "fixed", "model": "flat", "cadence": "arrears", "unit_amount": D(30), "name": "Platform"}


@pytest.fixture
def months():
    """August and September of a customer who moves to Pro on 1 September, finalized; with 10% off and 20% tax.

    August: $30.00 + (600 - 100) × $0.10 = $80.00; less $8.00, plus $14.40 of tax: $86.40.
    September: $90.00 + (1,000 - 300) × $0.08 = $146.00; less $14.60, plus $26.28 of tax: $157.68.
    """
    calls, customer = make_feature(name="API calls"), make_customer(name="Acme")
    starter = make_version(FEE, {"feature": calls, "unit_amount": D("0.10")}, free_units={calls: 100}, name="Starter")
    pro = make_version(
        FEE | {"unit_amount": D(90)}, {"feature": calls, "unit_amount": D("0.08")}, free_units={calls: 300}, name="Pro"
    )
    subscription = make_subscription(customer=customer, plan=starter, starts_at=AUGUST, now=AUGUST)
    give(make_coupon(10), customer)
    make_tax(20)
    use(customer, calls, utc(2026, 8, 5), 600)
    use(customer, calls, utc(2026, 9, 5), 1000)
    change_plan(subscription, pro, at=SEPTEMBER, now=SEPTEMBER, by=None)
    invoices = [*bill(SEPTEMBER), *bill(OCTOBER)]
    for invoice, at in zip(invoices, (SEPTEMBER, OCTOBER), strict=True):
        finalize(invoice, now=at)
        invoice.refresh_from_db()
    return invoices


def amounts(comparison):
    return {cause.value: str(amount.quantize(D("0.01"))) for cause, amount, _ in comparison.by_cause}


# 900 × $0.10 = $90.00 is $40.00 more; 700 × $0.10 is $20.00 less, and 700 × $0.08 $14.00 less; the fee is $60.00 more.
CAUSES = {"usage": "40.00", "plan": "26.00", "discount": "-6.60", "tax": "11.88"}


def test_two_months_of_a_customer_who_changed_the_plan(months):
    august, september = months
    assert (august.total, september.total) == (D("86.40"), D("157.68"))
    assert previous_invoice(september) == august
    assert previous_invoice(august) is None
    comparison = compare_invoices(august, september)
    assert amounts(comparison) == CAUSES
    assert comparison.difference == D("71.28")
    [by_month] = compare_months(
        august.customer, (date(2026, 9, 1), date(2026, 10, 1)), (date(2026, 10, 1), date(2026, 11, 1))
    )
    assert by_month == comparison
    assert (
        compare_months(august.customer, (date(2025, 1, 1), date(2025, 2, 1)), (date(2025, 2, 1), date(2025, 3, 1)))
        == []
    )


def test_a_document_is_compared_with_what_the_customer_had(months):
    august, september = months
    replacement = reissue(august, reason="Wrong address", by=None, now=OCTOBER + DAY)
    finalize(replacement, now=OCTOBER + DAY)
    assert previous_invoice(september).pk == august.pk
    draft = reissue(september, reason="Wrong address", by=None, now=OCTOBER + DAY)
    assert previous_invoice(draft).pk == replacement.pk


def test_only_invoices_of_one_customer_or_subscription_and_currency_are_compared(months):
    august, september = months
    with pytest.raises(CannotChange, match="same customer"):
        compare_invoices(make_draft("5"), september)
    with pytest.raises(CannotChange, match="is in EUR and"):
        compare_invoices(make_draft("5", customer=september.customer, currency="EUR"), september)
    september.customer = make_customer(name="Another payer")
    assert compare_invoices(august, september).difference == D("71.28")


def test_the_page_of_an_invoice_says_why_it_differs(staff_client, months):
    august, september = months
    address = reverse("admin:billing_compare_invoice", args=[september.pk])
    assert address in staff_client.get(september.get_absolute_url()).content.decode()
    page = staff_client.get(address)
    chart = page.context_data["chart"]
    assert list(chart.labels) == [str(august), "Usage", "Plan change", "Discounts", "Tax", str(september)]
    [series] = chart.series
    assert list(series.starts) == [0, D("86.40"), D("126.40"), D("152.40"), D("145.80"), 0]
    assert list(series.values) == [D("86.40"), 40, 26, D("-6.60"), D("11.88"), D("157.68")]
    html = page.content.decode()
    assert "600 used" in html
    assert "+$71.28" in html
    chosen = staff_client.get(address, {"with": "inv_none"})
    assert chosen.context_data["before"] == august
    first = staff_client.get(reverse("admin:billing_compare_invoice", args=[august.pk]))
    assert first.content.decode().strip() == ""


def test_the_months_of_a_customer_are_compared_on_a_page(staff_client, months):
    address = reverse("admin:billing_customer_months", args=[months[0].customer_id])
    page = staff_client.get(address, {"month": "2026-10"})
    [row] = page.context_data["comparisons"]
    assert row["difference"] == "+$71.28"
    assert "No invoices in these months" in staff_client.get(address, {"month": "2020-10"}).content.decode()
    assert "Enter months as 2026-09." in staff_client.get(address, {"month": "October"}).content.decode()


def test_the_review_names_the_largest_causes_first(staff_client, django_assert_max_num_queries):
    calls = make_feature(name="API calls")
    version = make_version(FEE, {"feature": calls, "unit_amount": D("0.50")})
    for _ in range(5):
        subscription = make_subscription(plan=version, starts_at=AUGUST, now=AUGUST)
        use(subscription.customer, calls, utc(2026, 9, 5), 200)
    before, after = bill(SEPTEMBER), bill(OCTOBER)
    page = staff_client.get(reverse("admin:billing_review"))
    assert {row["causes"] for row in page.context_data["rows"]} == {"", "Usage +$100.00"}
    with django_assert_max_num_queries(9):
        assert len(compare_many(zip(before, after, strict=True))) == 5


def test_the_api_explains_differences(api, months):
    august, september = months
    body = api.get(f"invoices/{september.public_id}/comparison")
    assert (body["invoice_id"], body["compared_with"]) == (september.public_id, august.public_id)
    comparison = body["comparison"]
    assert (comparison["total_before"], comparison["total_after"]) == ("86.40", "157.68")
    assert {row["cause"]: row["amount"] for row in comparison["causes"]} == CAUSES
    assert comparison["causes"][0]["parts"] == [
        {"name": "API calls", "before": "600 used", "after": "1,000 used", "amount": "40.00"}
    ]
    assert api.get(f"invoices/{august.public_id}/comparison")["comparison"] is None
    back = api.get(f"invoices/{august.public_id}/comparison", compared_with=september.public_id)
    assert back["comparison"]["difference"] == "-71.28"
    other = make_draft("5")
    api.get(f"invoices/{september.public_id}/comparison", 400, compared_with=other.public_id)
    api.get(f"invoices/{september.public_id}/comparison", 404, compared_with="inv_0")
    customer = f"customers/{august.customer.public_id}/invoices/comparison"
    [row] = api.get(customer, month="2026-10")["items"]
    assert row == comparison
    api.get(customer, 404, month="October")


@settings(ANY_CUSTOMER, max_examples=8)
@given(CUSTOMERS, st.dictionaries(st.integers(0, 30 * 24), st.integers(1, 900), max_size=3))
def test_the_parts_of_any_history_add_up_to_the_difference(story, used):
    with transaction.atomic():
        subscription = begin(story)
        bill(OCTOBER)
        for hour, quantity in used.items():
            use(subscription.customer, Feature.objects.get(), OCTOBER + hour * HOUR, quantity)
        bill(NOVEMBER)
        rows = list(Invoice.objects.order_by("pk"))
        for before in rows:
            for after in rows:
                comparison = compare_invoices(before, after)
                assert (comparison.before, comparison.after) == (before.total, after.total)
                assert sum(part.amount for part in comparison.parts) == after.total - before.total
                assert before != after or not comparison.parts
        transaction.set_rollback(True)


def test_documents_say_why_they_differ_if_the_company_wants_it(months):
    august, september = months
    assert build_invoice_document(september)["closing"] == []
    save_profile({"explains_differences": True}, by=None)
    assert build_invoice_document(september)["closing"] == []  # finalized before
    draft = reissue(september, reason="Explain it", by=None, now=OCTOBER + DAY)
    assert build_invoice_document(draft)["closing"] == [
        {
            "label": f"Compared with {august} of $86.40",
            "lines": ["Usage: +$40.00", "Plan change: +$26.00", "Discounts: -$6.60", "Tax: +$11.88"],
        }
    ]
