"""Usage that was credited by hand and is then voided is refunded once."""

import pytest

from billing.late_usage.decisions import approve
from billing.models import Invoice, LatePolicy, LateState
from billing.runs.late_usage import credit_reductions
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note, void_credit_note
from events.ledger.voiding import void_event
from events.models import Event
from tests.billing.adjusting import give, make_coupon
from tests.billing.late import adjustments, arrive_many, invoice_at, work_late
from tests.billing.world import D, amounts, lines, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db

SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1), utc(2026, 12, 1)
IN_SEPTEMBER = utc(2026, 9, 20, 9)


@pytest.fixture
def subscription(db):
    """$1 a call and $50 a month in arrears, from 1 September 2026."""
    calls = make_feature(name="API calls", unit_singular="call", unit_plural="calls")
    support = {"kind": "fixed", "model": "flat", "unit_amount": D(50), "cadence": "arrears", "name": "Support"}
    version = make_version({"feature": calls, "unit_amount": D(1)}, support)
    acme = make_customer(external_id="acme")
    return make_subscription(customer=acme, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)


def credit(invoice, amount, kind="usage"):
    line = invoice.lines.get(kind=kind)
    note = draft_credit_note(invoice, {line.pk: D(amount)}, reason="billing_error", by=None)
    return finalize_credit_note(note, now=OCTOBER, by=None)


def take_back(ids, at=OCTOBER):
    for event in Event.objects.filter(event_id__in=ids):
        void_event(event, reason="A mistake", now=at)


def paid():
    """Add up what customers have to pay after all credit notes."""
    return sum(invoice.total - invoice.amount_credited for invoice in Invoice.objects.exclude(state="void"))


@pytest.mark.parametrize("policy", ["next_invoice", "credit_note"])
def test_usage_that_was_credited_in_full_isnt_refunded_again(subscription, policy):
    LatePolicy.objects.create(less_due=policy)
    ids = arrive_many(10, IN_SEPTEMBER)
    [invoice] = invoice_at(OCTOBER)
    credit(invoice, 10)
    take_back(ids)
    work_late(OCTOBER)
    credit_reductions(now=OCTOBER)
    [november] = invoice_at(NOVEMBER)
    says, amount = lines(november)[-1]
    assert says.endswith(f"10 invoiced on {invoice}: $0.00 instead of $10.00, of which $10.00 was credited")
    assert amount == 0
    assert paid() == D(100)  # two months of Support


def test_late_usage_that_was_credited_isnt_refunded_again(subscription):
    arrive_many(10, IN_SEPTEMBER)
    invoice_at(OCTOBER)
    ids = arrive_many(5, IN_SEPTEMBER)
    work_late(OCTOBER)
    [november] = invoice_at(NOVEMBER)
    credit(november, 5, kind="late_usage")
    take_back(ids, NOVEMBER)
    work_late(NOVEMBER)
    # $10 of the 15 stay and $5 are credited: which 5 isn't told, so staff say that it was these.
    [_, held] = adjustments(subscription)
    assert (held.state, held.amount, held.reason) == (LateState.HELD, D(-5), "Credited by CN-000001")
    invoice_at(DECEMBER)
    assert paid() == D(160)  # three months of Support and 10 calls


def test_a_refund_of_partly_credited_usage_is_held_and_names_the_credit_note(subscription):
    ids = arrive_many(10, IN_SEPTEMBER)
    [invoice] = invoice_at(OCTOBER)
    note = credit(invoice, 8)
    take_back(ids[:4])
    work_late(OCTOBER)
    # $2 are left of what the calls were charged.
    [held] = adjustments(subscription)
    assert (held.state, held.amount, held.credited, held.reason) == (
        LateState.HELD, D(-2), D(2), f"Credited by {note.number}",
    )  # fmt: skip
    approve([held.pk], by=None, now=OCTOBER)
    work_late(OCTOBER)
    [november] = invoice_at(NOVEMBER)
    assert amounts(november) == [D(50), D(-2)]


def test_the_remaining_charge_is_refunded_when_all_usage_is_voided(subscription):
    ids = arrive_many(10, IN_SEPTEMBER)
    [invoice] = invoice_at(OCTOBER)
    credit(invoice, 8)
    take_back(ids)
    work_late(OCTOBER)
    [november] = invoice_at(NOVEMBER)
    assert amounts(november) == [D(50), D(-2)]
    assert paid() == D(100)


def test_credited_amounts_are_after_discounts(subscription):
    give(make_coupon(10), subscription)
    ids = arrive_many(10, IN_SEPTEMBER)
    [invoice] = invoice_at(OCTOBER)
    credit(invoice, 9)  # $10 less 10%
    take_back(ids)
    work_late(OCTOBER)
    [november] = invoice_at(NOVEMBER)
    assert (november.subtotal, november.total) == (D(50), D(45))


def test_usage_that_arrives_after_a_credit_and_a_refund_is_charged(subscription):
    ids = arrive_many(10, IN_SEPTEMBER)
    [invoice] = invoice_at(OCTOBER)
    credit(invoice, 10)
    take_back(ids)
    work_late(OCTOBER)
    invoice_at(NOVEMBER)
    arrive_many(4, IN_SEPTEMBER)
    work_late(NOVEMBER)
    [december] = invoice_at(DECEMBER)
    assert amounts(december) == [D(50), D(4)]


def test_voiding_the_credit_note_lets_the_usage_be_refunded(subscription):
    ids = arrive_many(10, IN_SEPTEMBER)
    [invoice] = invoice_at(OCTOBER)
    note = credit(invoice, 10)
    take_back(ids)
    work_late(OCTOBER)
    invoice_at(NOVEMBER)
    void_credit_note(note, reason="Written by mistake", now=NOVEMBER, by=None)
    work_late(NOVEMBER)
    [december] = invoice_at(DECEMBER)
    assert amounts(december) == [D(50), D(-10)]
    assert paid() == D(150)


def test_a_credit_note_holds_waiting_refunds_of_the_same_usage(subscription):
    ids = arrive_many(10, IN_SEPTEMBER)
    [invoice] = invoice_at(OCTOBER)
    take_back(ids)
    work_late(OCTOBER)
    note = draft_credit_note(invoice, {invoice.lines.get(kind="usage").pk: D(10)}, reason="billing_error", by=None)
    [held] = adjustments(subscription)
    assert (held.state, held.reason) == (LateState.HELD, f"Credited by {note}")
    finalize_credit_note(note, now=OCTOBER, by=None)
    work_late(OCTOBER)
    [settled] = adjustments(subscription)
    assert (settled.state, settled.amount, settled.credited) == (LateState.WAITING, D(0), D(10))
    invoice_at(NOVEMBER)
    assert paid() == D(100)
