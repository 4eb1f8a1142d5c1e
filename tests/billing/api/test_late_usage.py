"""Late usage through the API: lists, filters, single adjustments, and lines on invoices."""

import pytest

from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note
from events.ledger.voiding import void_event
from events.models import Event
from tests.billing.late import adjustments, arrive, arrive_many, invoice_at, work_late
from tests.billing.world import D, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER, NOVEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1)
IN_SEPTEMBER, IN_OCTOBER = utc(2026, 9, 20, 9), utc(2026, 10, 20, 9)


@pytest.fixture
def subscription(db):
    calls = make_feature(name="API calls")
    customer = make_customer(name="Acme", external_id="acme")
    version = make_version({"feature": calls, "unit_amount": D("0.25")})
    made = make_subscription(customer=customer, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)
    arrive_many(4, IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive_many(2, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    return made


def test_late_adjustments_are_listed_and_retrieved(api, subscription):
    [late] = adjustments(subscription)
    answer = api.get("late-adjustments")
    assert answer["pagination"]["total"] == 1
    [item] = answer["items"]
    expected = {
        "id": late.public_id,
        "external_customer_id": "acme",
        "subscription_id": subscription.public_id,
        "feature_name": "API calls",
        "quantity_before": "4",
        "quantity_after": "6",
        "amount_before": "1.00",
        "amount_after": "1.50",
        "amount_credited": "0.00",
        "amount": "0.50",
        "currency": "USD",
        "state": "waiting",
        "adjusts_invoice_id": late.invoice.public_id,
        "adjusts_line_item_id": late.adjusts.public_id,
        "invoice_id": None,
    }
    assert {name: item[name] for name in expected} == expected
    assert api.get(f"late-adjustments/{late.public_id}") == item
    api.get("late-adjustments/late_none", status=404)


@pytest.mark.parametrize(
    ("asked", "number"),
    [
        ({"state": "waiting"}, 1),
        ({"state": "held,ignored"}, 0),
        ({"external_customer_id": "acme"}, 1),
        ({"external_customer_id": "other"}, 0),
        ({"period_start_gte": "2026-09-01T00:00:00Z"}, 1),
        ({"period_start_gte": "2026-09-02T00:00:00Z"}, 0),
        ({"currency": "eur"}, 0),
        ({"credited": "false"}, 1),
        ({"credited": "true"}, 0),
    ],
)
def test_late_adjustments_are_filtered(api, subscription, asked, number):
    assert len(api.get("late-adjustments", **asked)["items"]) == number


def test_a_late_line_names_the_corrected_invoice_on_preview_and_invoice(api, subscription):
    arrive(IN_OCTOBER)
    [late] = adjustments(subscription)
    [october] = invoice_at(NOVEMBER)
    lines = api.get(f"invoices/{october.public_id}")["line_items"]
    assert [line["kind"] for line in lines] == ["usage", "late_usage"]
    assert lines[0]["adjusts_invoice_id"] is None
    assert (lines[1]["adjusts_invoice_id"], lines[1]["adjusts_line_item_id"], lines[1]["amount"]) == (
        late.invoice.public_id,
        late.adjusts.public_id,
        "0.50",
    )
    [item] = api.get("late-adjustments", invoiced_on=october.public_id)["items"]
    assert (item["state"], item["line_item_id"]) == ("invoiced", lines[1]["id"])


def test_a_late_adjustment_shows_what_was_already_credited(api):
    version = make_version({"feature": make_feature(name="API calls"), "unit_amount": D("0.25")})
    customer = make_customer(external_id="acme")
    subscription = make_subscription(customer=customer, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)
    ids = arrive_many(4, IN_SEPTEMBER)
    [invoice] = invoice_at(OCTOBER)
    note = draft_credit_note(invoice, {invoice.lines.get().pk: D("0.75")}, reason="billing_error", by=None)
    finalize_credit_note(note, now=OCTOBER, by=None)
    for event in Event.objects.filter(event_id__in=ids):
        void_event(event, reason="A mistake", now=OCTOBER)
    work_late(IN_OCTOBER)
    # $1.00 was charged and $0.75 of it credited: $0.25 is still to be credited.
    [item] = api.get("late-adjustments", credited=True)["items"]
    told = {name: item[name] for name in ("amount_before", "amount_credited", "amount_after", "amount")}
    assert told == {"amount_before": "0.25", "amount_credited": "0.75", "amount_after": "0.00", "amount": "-0.25"}
    assert adjustments(subscription)[0].public_id == item["id"]
