"""Joint invoices on the pages of invoices, upcoming invoices and customers."""

import pytest

from billing.models import JointInvoice, Payment
from customers.models import Subscription
from customers.signals import invoice_start
from tests.admin_pages import submit, text_of, url
from tests.billing.late import invoice_at
from tests.billing.world import D, bill, utc
from tests.factories import make_customer, make_subscription, make_version

pytestmark = pytest.mark.django_db
JANUARY, FEBRUARY = utc(2026, 1, 1), utc(2026, 2, 1)


@pytest.fixture
def contracts() -> list[Subscription]:
    acme = make_customer(name="Acme", joins_invoices=True)
    subscriptions = []
    for name, amount in (("Seats", 10), ("Support", 20)):
        fee = {"kind": "fixed", "cadence": "arrears", "unit_amount": D(amount)}
        plan = make_version(fee, name=name)
        subscriptions.append(make_subscription(customer=acme, plan=plan, starts_at=JANUARY))
        invoice_start(subscriptions[-1], now=JANUARY)
    return subscriptions


def test_a_section_shows_and_pays_its_joint_invoice(staff_client, contracts):
    draft = bill(FEBRUARY)[0]
    page = text_of(staff_client.get(draft.get_absolute_url()))
    assert "Draft of a joint invoice" in page
    assert "Amount due so far $30.00" in page
    dialog = text_of(staff_client.get(url("billing_invoice_finalize_one", draft.pk), headers={"HX-Request": "true"}))
    assert "Acme: $30.00 . All 2 sections of the joint invoice are finalized together." in dialog
    submit(staff_client, url("billing_invoice_finalize_one", draft.pk))
    page = text_of(staff_client.get(draft.get_absolute_url()))
    assert "Joint invoice INV-000001" in page
    assert "INV-000001-2" in page

    answers = {"amount": "30", "received_on": "2026-02-02", "method": "bank_transfer", "token": "t1"}
    for _ in range(2):
        submit(staff_client, url("billing_invoice_pay_one", draft.pk), **answers)
    assert JointInvoice.objects.get().state == "paid"
    assert list(Payment.objects.filter(kind="payment").values_list("amount", flat=True)) == [D(30)]


def test_the_upcoming_invoice_names_the_subscriptions_beside_it(staff_client, contracts):
    page = text_of(staff_client.get(url("billing_subscription_upcoming", contracts[0].pk)))
    assert "Joint invoice The customer gets one invoice for these subscriptions" in page
    assert "Amount so far $30.00" in page
    assert "Support" in page


def test_voiding_a_section_names_the_whole_amount(staff_client, contracts):
    section = invoice_at(FEBRUARY)[0]
    dialog = text_of(staff_client.get(url("billing_invoice_void_one", section.pk), headers={"HX-Request": "true"}))
    assert "All 2 sections of the joint invoice are voided together." in dialog
    assert "Voiding INV-000001 reduces what Acme owes by $30.00" in dialog
