"""An invoice and its late lines equal the invoice without late events, for any late events in any order."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.models import InvoiceLine
from billing.money import exact
from events.ledger.voiding import void_event
from events.models import Event, EventState
from tests.billing.late import arrive, invoice_at, work_late
from tests.billing.world import D, utc
from tests.events.senders import process, send
from tests.factories import (
    make_customer,
    make_draft,
    make_entitlement,
    make_feature,
    make_fee,
    make_price,
    make_subscription,
)

SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1), utc(2026, 12, 1)
HOURS = 24 * 60
MOMENTS = st.integers(0, HOURS * 60).map(lambda minute: SEPTEMBER + timedelta(minutes=minute))


@st.composite
def stories(draw):
    """Events with their time, value and user, when each comes (0: in time, else after how many invoices), and voids."""
    event = st.tuples(MOMENTS, st.integers(1, 40), st.sampled_from("abcd"), st.integers(0, 2), st.integers(0, 3))
    return draw(st.lists(event, min_size=1, max_size=12))


def features():
    return [
        (make_feature(name="Calls"), {"model": "graduated", "tiers": [(3, D("1.00")), (None, D("0.35"), D(2))]}),
        (make_feature(name="Tokens", field="n"), {"model": "volume", "tiers": [(30, D("0.333")), (None, D("0.111"))]}),
        (make_feature(name="Users", aggregation="unique_count", field="user"), {"unit_amount": D(5)}),
        (make_feature(name="Peak", aggregation="max", field="n"), {"unit_amount": D("0.125"), "minimum_amount": D(3)}),
        (make_feature(name="Mean", aggregation="average", field="n"), {"unit_amount": D("0.01")}),
        (make_feature(name="Stored", field="n", reset="cumulative"), {"model": "package", "package_size": 7}),
    ]


def company(name, meters):
    """Make a customer on a plan that charges all features, with free units of several kinds, and a fee in arrears."""
    customer = make_customer(external_id=name)
    draft = make_draft()
    make_fee(version=draft, unit_amount=D("4.95"), cadence="arrears")
    for position, (feature, price) in enumerate(meters):
        make_price(version=draft, feature=feature, position=position, **price)
    make_entitlement(version=draft, feature=meters[0][0], free_units=2, reset="daily")
    make_entitlement(version=draft, feature=meters[1][0], free_units=20, reset="never")
    make_subscription(customer=customer, plan=draft.plan, starts_at=SEPTEMBER, now=SEPTEMBER)
    return customer


def charges(customer):
    """Add up quantity and amount by feature and period, over all invoices."""
    found: dict[Any, list[Any]] = defaultdict(lambda: [Decimal(0), Decimal(0), 0])
    lines = InvoiceLine.objects.filter(invoice__customer=customer).exclude(invoice__state="void")
    for line in lines.select_related("feature"):
        kept = found[line.feature.name if line.feature else line.kind, line.period_start]
        with exact():
            kept[0] += line.quantity if line.kind != "true_up" else 0
            kept[1] += line.amount
        kept[2] += line.events_count or 0
    return {key: value for key, value in found.items() if any(value)}


@pytest.mark.django_db
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(stories())
def test_an_invoice_and_its_late_lines_equal_the_invoice_without_late_events(story):
    with transaction.atomic():
        meters = features()
        late, prompt = company("late", meters), company("prompt", meters)
        for no, (moment, n, user, comes, gone) in enumerate(story):
            if comes == 0:
                send(customer="late", at=moment, event_id=f"late-{no}", n=n, user=user)
            if not gone:
                send(customer="prompt", at=moment, event_id=f"prompt-{no}", n=n, user=user)
        process()
        for step, moment in enumerate((OCTOBER, NOVEMBER, DECEMBER), start=1):
            invoice_at(moment)
            for no, (at, n, user, comes, _) in enumerate(story):
                if comes == step:
                    arrive(at, customer="late", event_id=f"late-{no}", n=n, user=user)
            taken_back = [f"late-{no}" for no, (*_, gone) in enumerate(story) if 0 < gone <= step]
            for event in Event.objects.filter(event_id__in=taken_back).exclude(state=EventState.VOIDED):
                void_event(event, reason="A mistake", now=moment)
            work_late(moment)
        invoice_at(utc(2027, 1, 1))
        assert charges(late) == charges(prompt)
        transaction.set_rollback(True)
