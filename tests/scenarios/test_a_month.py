"""A month of one customer, from catalog and events to an invoice with amounts calculated by hand.

Nimbus sells an AI API. Ada Labs is on Pro, $49.00 per month in advance, from 1 September 2026, in UTC.
"""

from decimal import Decimal

import pytest
from django.test import Client

from billing import tasks
from billing.explanation.proof import prove
from billing.explanation.text import format_invoice
from billing.invoicing.upcoming import upcoming
from billing.lifecycle import finalize, void
from billing.models import BillingRun, Invoice
from billing.runs.billing_run import run_to_end
from events.access.keys import make_key
from events.models import Event, EventState
from events.tasks import process_inbox
from tests.billing.world import lines, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

D = Decimal
SEPTEMBER, OCTOBER = utc(2026, 9, 1), utc(2026, 10, 1)


@pytest.fixture
def features(db):
    return {
        "calls": make_feature(name="API calls", event_name="api.call", unit_singular="call", unit_plural="calls"),
        "tokens": make_feature(name="Tokens", event_name="model.usage", field="tokens"),
        "storage": make_feature(name="Stored data", event_name="file.stored", field="gb", reset="cumulative",
                                unit_singular="GB", unit_plural="GB"),
        "users": make_feature(name="Active users", event_name="api.call", aggregation="unique_count", field="user",
                              unit_singular="user", unit_plural="users"),
        "support": make_feature(name="Support", event_name="support.hour", field="hours"),
    }  # fmt: skip


@pytest.fixture
def plan(features):
    return make_version(
        {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(49), "name": "Pro"},
        {"feature": features["calls"], "unit_amount": D("0.25"), "position": 1},
        {
            "feature": features["tokens"],
            "model": "graduated",
            "tiers": [(1000, D("0.01")), (None, D("0.005"), D(2))],
            "position": 2,
        },
        {"feature": features["storage"], "unit_amount": D("0.10"), "position": 3},
        {
            "feature": features["users"],
            "model": "package",
            "package_size": 2,
            "unit_amount": D("3.5"),
            "position": 4,
        },
        {"feature": features["support"], "unit_amount": D(80), "minimum_amount": D(100), "position": 5},
        free_units={features["calls"]: 10, features["storage"]: 5},
        name="Pro",
    )


@pytest.fixture
def subscription(plan):
    customer = make_customer(external_id="ada-labs", name="Ada Labs")
    return make_subscription(customer=customer, plan=plan, starts_at=SEPTEMBER, now=SEPTEMBER)


def event(name, number, day, hour=12, **properties):
    return {
        "event_id": f"{name}-{number}",
        "event_name": name,
        "external_customer_id": "ada-labs",
        "timestamp": f"2026-09-{day:02d}T{hour:02d}:00:00Z",
        "properties": properties,
    }


def usage():
    """Yield the events of Ada Labs in September, with mistakes."""
    yield from (event("api.call", n, 1 + n, user=f"user-{n % 5}") for n in range(25))
    yield event("model.usage", 1, 3, tokens=700)
    yield event("model.usage", 2, 17, tokens=1100.5)
    yield event("file.stored", 1, 4, gb=12)
    yield event("file.stored", 2, 20, gb=8.5)
    yield event("support.hour", 1, 21, hours=0.75)
    yield event("api.call", 7, 8, user="user-2")  # sent again: the same event_id
    yield event("model.usage", 3, 9, tokens="900")  # text instead of a number: a problem, not usage
    yield event("Model.Usage", 4, 9, tokens=900)  # no feature has this event name


def send(events):
    _, secret = make_key("Sender")
    response = Client().post(
        "/v1/events/bulk", {"events": list(events)}, content_type="application/json", headers={"x-api-key": secret}
    )
    assert response.status_code == 202, response.content


@pytest.mark.django_db(transaction=True)
def test_a_month_from_the_first_event_to_the_paid_invoice(subscription, monkeypatch):
    [opening] = bill(SEPTEMBER)
    assert lines(opening) == [("Pro, 1–30 Sep 2026", D(49))]

    send(usage())
    process_inbox()
    assert Event.objects.filter(state=EventState.COUNTED).count() == 30
    assert Event.objects.filter(state=EventState.PROBLEM).count() == 2

    preview = [(line.description, line.amount) for line in upcoming(subscription.pk, now=OCTOBER).earlier[0].lines]
    [invoice] = bill(OCTOBER)
    assert lines(invoice) == preview
    assert lines(invoice) == [
        # The next month in advance.
        ("Pro, 1–31 Oct 2026", D("49.00")),
        # 25 calls; one was sent twice and is counted once. 25 - 10 = 15; 15 × 0.25 = 3.75
        ("API calls, 1–30 Sep 2026 · 25 calls used, 10 free, 15 × $0.25", D("3.75")),
        # 700 + 1,100.5 = 1,800.5. 1,000 × 0.01 = 10; 800.5 × 0.005 = 4.0025, + 2 flat = 6.0025. 16.0025 → 16.00
        ("Tokens, 1–30 Sep 2026 · 1,800.5 used, 1,800.5 in 2 tiers", D("16.00")),
        # 12 + 8.5 = 20.5 in all. 20.5 - 5 = 15.5; 15.5 × 0.10 = 1.55
        ("Stored data, 1–30 Sep 2026 · running total 20.5 GB at the end, 5 free, 15.5 × $0.10", D("1.55")),
        # user-0 to user-4: 5 users are 2.5 packages of 2, so 3; 3 × 3.50 = 10.50
        ("Active users, 1–30 Sep 2026 · 5 users used, 3 packages of 2 × $3.50", D("10.50")),
        # 0.75 × 80 = 60
        ("Support, 1–30 Sep 2026 · 0.75 used, 0.75 × $80.00", D("60.00")),
        # 100 - 60 = 40
        ("Support, 1–30 Sep 2026 · minimum commitment $100.00, less $60.00 of usage", D("40.00")),
    ]
    # 49 + 3.75 + 16 + 1.55 + 10.50 + 60 + 40 = 180.80
    assert invoice.total == D("180.80")
    assert all(prove(line).agrees for line in invoice.lines.filter(kind="usage"))

    finalized = finalize.finalize(invoice, now=OCTOBER)
    assert (finalized.number, finalized.state, finalized.amount_remaining) == ("INV-000001", "finalized", D("180.80"))
    paid = void.mark_paid(finalized, now=OCTOBER, by=None)
    assert (paid.state, paid.amount_remaining) == ("paid", D(0))


@pytest.mark.django_db(transaction=True)
def test_the_scheduled_tasks_bill_the_same_month_automatically(subscription, monkeypatch):
    send(usage())
    process_inbox()
    monkeypatch.setattr("billing.tasks.read_clock", lambda: OCTOBER)
    monkeypatch.setattr("billing.tasks.bill_chunk.delay", tasks.bill_chunk)
    tasks.run_billing()
    assert BillingRun.objects.get().state == "finished"
    assert tasks.finalize_due() == 2
    assert list(Invoice.objects.order_by("number").values_list("number", "total")) == [
        ("INV-000001", D("49.0000")),
        ("INV-000002", D("180.8000")),
    ]
    assert tasks.run_billing() == 0


@pytest.mark.django_db(transaction=True)
def test_the_printed_invoice_can_be_checked_by_hand(subscription):
    send(usage())
    process_inbox()
    bill(SEPTEMBER)
    [invoice] = bill(OCTOBER)
    printed = format_invoice(finalize.finalize(invoice, now=OCTOBER), now=OCTOBER)
    for expected in (
        "Invoice INV-000001",
        "OPEN\n",
        "Ada Labs (ada-labs)",
        "Billing period, 1–30 Sep 2026 (UTC)",
        "free: 10 each billing period, 10 used on this line",
        "tier 1, over 0 up to 1,000: 1,000 × $0.01 = $10.00",
        "tier 2, over 1,000 without limit: 800.5 × $0.005 + flat $2.00 = $6.0025",
        "exactly 16.0025, rounded to $16.00",
        "cumulative: the running total since the start, charged every period",
        "counted from 25 events",
    ):
        assert expected in printed
    assert "Amount due          $180.80" in printed


def bill(as_of):
    """Run billing and return the new invoices."""
    before = set(Invoice.objects.values_list("pk", flat=True))
    run_to_end(as_of=as_of)
    return list(Invoice.objects.exclude(pk__in=before).order_by("pk"))
