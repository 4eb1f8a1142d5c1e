"""Late usage: events sent after the invoice, an event voided by the API, the tasks, and the next invoice.

Nimbus sells API calls: 1,000 free per month, then $0.01 each up to 5,000 and $0.005 above. Ada Labs is billed monthly,
in UTC.
"""

from decimal import Decimal

import pytest

from billing import tasks
from billing.explanation.proof import prove
from billing.models import Invoice
from events.tasks import process_inbox
from tests.billing.world import lines, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

D = Decimal
SEPTEMBER, OCTOBER, NOVEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1)


@pytest.fixture
def subscription(db):
    calls = make_feature(name="API calls", event_name="api.call", field="n", unit_singular="call", unit_plural="calls")
    tiers = [(5000, D("0.01")), (None, D("0.005"))]
    version = make_version({"feature": calls, "model": "graduated", "tiers": tiers}, free_units={calls: 1000})
    customer = make_customer(external_id="ada-labs", name="Ada Labs")
    return make_subscription(customer=customer, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)


def event(event_id, when, n):
    return {
        "event_id": event_id,
        "event_name": "api.call",
        "external_customer_id": "ada-labs",
        "timestamp": when.isoformat(),
        "properties": {"n": n},
    }


def run_tasks(monkeypatch, moment):
    """Run the scheduled tasks at a set time."""
    monkeypatch.setattr("billing.tasks.read_clock", lambda: moment)
    monkeypatch.setattr("billing.tasks.bill_chunk.delay", tasks.bill_chunk)
    process_inbox()
    tasks.run_billing()
    tasks.finalize_due()
    tasks.adjust_late_usage()
    tasks.bill_late_usage()


@pytest.mark.django_db(transaction=True)
def test_late_and_voided_events_are_adjusted_on_the_next_invoice(api, subscription, monkeypatch):
    in_time = [event("a-1", utc(2026, 9, 3), 3000), event("a-2", utc(2026, 9, 17), 1500)]
    api.post("events/bulk", {"events": in_time}, 202)
    run_tasks(monkeypatch, OCTOBER)
    [september] = Invoice.objects.all()
    # 4,500 - 1,000 free = 3,500 × 0.01
    assert (september.total, september.state) == (D("35.00"), "finalized")

    api.post("events", event("b-1", utc(2026, 9, 28), 4500), 202)  # three days late
    api.post("events", event("c-1", utc(2026, 10, 5), 1200), 202)
    run_tasks(monkeypatch, utc(2026, 10, 6))
    [waiting] = api.get("late-adjustments")["items"]
    # 9,000 - 1,000 = 8,000: 5,000 × 0.01 + 3,000 × 0.005 = 65.00, of which 35.00 are invoiced
    assert (waiting["state"], waiting["amount"]) == ("waiting", "30.00")

    api.post("events/void", {"event_ids": ["a-2"], "reason": "Sent twice under two ids"})
    run_tasks(monkeypatch, utc(2026, 10, 7))
    [waiting] = api.get("late-adjustments")["items"]
    # 7,500 - 1,000 = 6,500: 50.00 + 1,500 × 0.005 = 57.50
    assert (waiting["quantity_after"], waiting["amount"]) == ("7500", "22.50")

    run_tasks(monkeypatch, NOVEMBER)
    october = Invoice.objects.order_by("pk").last()
    late = "late usage: 7,500 calls used, 4,500 invoiced on INV-000001: $57.50 instead of $35.00"
    assert lines(october) == [
        ("API calls, 1–31 Oct 2026 · 1,200 calls used, 1,000 free, 200 in 1 tier", D("2.00")),
        (f"API calls, 1–30 Sep 2026 · {late}", D("22.50")),
    ]
    assert (october.total, october.state) == (D("24.50"), "finalized")
    assert all(prove(line).agrees for line in october.lines.all())

    run_tasks(monkeypatch, utc(2026, 11, 2))
    assert tasks.check_invoiced_usage() == 0
    assert Invoice.objects.count() == 2
