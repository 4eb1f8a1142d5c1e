"""A parent company that pays for three subsidiaries, for half a year. Each amount is calculated by hand, and proved."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from billing.invoicing.upcoming import upcoming
from billing.lifecycle.void import reissue
from billing.models import Invoice
from billing.settlement.wallets import get_or_open_wallet, grant_credit
from customers.accounts import CustomerPays, archive_customer, save_customer
from customers.models import Customer, Subscription
from customers.signals import invoice_start
from tests.admin_pages import text_of, url
from tests.billing.late import arrive_many, invoice_at, work_late
from tests.billing.proofs.proving import differences, prove_night
from tests.billing.world import D, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db

JANUARY, FEBRUARY, MARCH, APRIL, MAY, JUNE, JULY = (utc(2026, month, 1) for month in range(1, 8))


@pytest.fixture
def proved() -> Iterator[None]:
    """Prove everything at the end of July's first night."""
    yield
    work_late(JULY)
    assert differences(prove_night(JULY)) == []


@pytest.fixture
def group() -> dict[str, Subscription]:
    """Three subsidiaries of one parent, each with a fee of $10.00 in advance and $1.00 a call, from January on."""
    plan = make_version(
        {"kind": "fixed", "cadence": "advance", "name": "Platform", "unit_amount": D(10)},
        {"feature": make_feature(name="Calls"), "unit_amount": D(1), "position": 1},
    )
    parent = make_customer(external_id="group", name="Group", net_days=45, address_country="DE")
    subscriptions = {}
    for name in ("north", "south", "west"):
        customer = make_customer(external_id=name, name=name.title(), parent=parent)
        subscriptions[name] = make_subscription(customer=customer, plan=plan, starts_at=JANUARY)
        invoice_start(subscriptions[name], now=JANUARY)
    return subscriptions


def billed(group: dict[str, Subscription], moment: datetime) -> dict[str, Decimal]:
    """Bill a moment, after the upcoming invoices said the same. Return the totals by subsidiary."""
    expected = {
        name: sum((invoice.total for invoice in upcoming(row.pk, now=moment).earlier), D(0))
        for name, row in group.items()
    }
    made = {
        invoice.subscription.customer.external_id: invoice.total
        for invoice in invoice_at(moment)
        if invoice.subscription is not None
    }
    assert {name: made.get(name, D(0)) for name in group} == expected
    return made


def test_a_parent_with_three_children(group, proved):
    parent = Customer.objects.get(external_id="group")
    assert {invoice.customer for invoice in Invoice.objects.all()} == {parent}
    assert sum(invoice.total for invoice in Invoice.objects.all()) == D("30.00")

    arrive_many(5, utc(2026, 1, 20), customer="north")
    arrive_many(2, utc(2026, 1, 21), customer="south")
    assert billed(group, FEBRUARY) == {"north": D("15.00"), "south": D("12.00"), "west": D("10.00")}
    january = Invoice.objects.get(subscription=group["north"], period_start=JANUARY, kind="cycle")
    assert january.billed_to["name"] == "Group"
    assert (january.due_at - january.issued_at).days == 45

    # The parent's credit pays: $20.00 of March's $30.00, in the order in which the invoices were made.
    wallet = get_or_open_wallet(parent, "USD", by=None)
    grant_credit(wallet, D(20), kind="promotional", reason="Goodwill", now=utc(2026, 2, 10), by=None)
    arrive_many(3, utc(2026, 2, 20), customer="west")
    assert billed(group, MARCH) == {"north": D("10.00"), "south": D("10.00"), "west": D("13.00")}
    march = Invoice.objects.filter(period_start=FEBRUARY, kind="cycle").order_by("pk")
    assert sum(invoice.credits_applied for invoice in march) == D("20.00")

    # North's usage of January arrives late: on North's next invoice, which goes to the parent.
    arrive_many(4, utc(2026, 1, 25), customer="north")
    work_late(utc(2026, 3, 5))
    assert billed(group, APRIL) == {"north": D("14.00"), "south": D("10.00"), "west": D("10.00")}

    # West pays for itself from 10 April on: what is invoiced already stays with the parent.
    west = Customer.objects.get(external_id="west")
    west.parent = None
    save_customer(west, by=None)
    assert billed(group, MAY) == {"north": D("10.00"), "south": D("10.00"), "west": D("10.00")}
    payers = {
        invoice.subscription.customer.external_id: invoice.customer.external_id
        for invoice in Invoice.objects.filter(period_start=APRIL, kind="cycle")
    }
    assert payers == {"north": "group", "south": "group", "west": "west"}

    # An invoice of West from before, voided and made again, goes to West now.
    replacement = reissue(
        Invoice.objects.get(subscription=group["west"], period_start=MARCH, kind="cycle"),
        now=utc(2026, 5, 2),
        by=None,
        reason="West pays from March on",
    )
    assert (replacement.customer, replacement.total) == (west, D("10.00"))

    arrive_many(1, utc(2026, 5, 20), customer="south")
    assert billed(group, JUNE)["south"] == D("11.00")
    assert sum(billed(group, JULY).values()) == D("30.00")
    live = Invoice.objects.exclude(state="void")
    # 30 + 37 + 33 + 34 + 30 + 31 + 30
    assert sum(invoice.total for invoice in live) == D("225.00")


def test_the_pages_of_parent_and_child_name_each_other(group, staff_client):
    parent, north = Customer.objects.get(external_id="group"), Customer.objects.get(external_id="north")
    shown = text_of(staff_client.get(url("customers_customer_change", parent.pk)))
    assert "Pays for" in shown
    assert "North" in shown
    shown = text_of(staff_client.get(url("customers_customer_change", north.pk)))
    assert "Invoices go to Group" in shown


def test_a_parent_has_no_parent_and_is_not_archived_while_it_pays(group):
    parent, north = Customer.objects.get(external_id="group"), Customer.objects.get(external_id="north")
    other = make_customer(external_id="other", name="Other")
    parent.parent = other
    with pytest.raises(ValidationError, match="Group pays for other customers"):
        save_customer(parent, by=None)
    other.parent = north
    with pytest.raises(ValidationError, match="The invoices of North go to Group"):
        save_customer(other, by=None)
    with pytest.raises(CustomerPays, match="Have them pay for themselves first"):
        archive_customer(Customer.objects.get(external_id="group"), now=timezone.now(), by=None)


def test_the_api_sets_the_parent_and_says_who_is_invoiced(api, group):
    plan = group["north"].phases.get().plan_version.plan.public_id
    group_id = Customer.objects.get(external_id="group").public_id
    made = api.post("customers", {"external_id": "east", "name": "East", "parent_customer_external_id": "group"}, 201)
    assert made["parent_customer_id"] == group_id
    body = {"external_customer_id": "east", "plan_id": plan, "currency": "USD", "billing_period": "MONTHLY"}
    wrong = body | {"inheritance": {"invoicing_customer_external_id": "north"}}
    assert "inheritance.invoicing_customer_external_id" in api.post("subscriptions", wrong, 400)["details"]
    right = body | {"inheritance": {"invoicing_customer_external_id": "group"}}
    subscription = api.post("subscriptions", right, 201)
    assert (subscription["invoicing_customer_id"], subscription["subscription_type"]) == (
        group_id,
        "delegated_invoicing",
    )
    invoice = api.get(f"invoices?subscription_id={subscription['id']}")["items"][0]
    assert (invoice["customer_id"], invoice["subscription_customer_id"]) == (group_id, made["id"])
    assert api.put(f"customers/{made['id']}", {"parent_customer_id": ""})["parent_customer_id"] is None
