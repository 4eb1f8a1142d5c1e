"""The company's policy for late usage, the decisions of staff, and what the Event Debugger shows."""

import pytest
from django.db import IntegrityError, transaction

from billing.late_usage.decisions import approve, ignore, reopen_ignored
from billing.late_usage.policy import Policy, decide
from billing.lifecycle.finalize import finalize_due
from billing.models import LateAdjustment, LateLimit, LatePolicy, LateState
from billing.runs.late_usage import credit_reductions
from billing.settlement.credit_notes import void_credit_note
from billing.settlement.payments import pay_remaining_amount
from config.refusals import ReasonRequired
from events.diagnosis import StepKey, diagnose
from events.ledger.voiding import void_event
from events.models import Event
from tests.billing.adjusting import make_tax
from tests.billing.late import adjustments, arrive, arrive_many, invoice_at, work_late
from tests.billing.world import D, amounts, bill, utc
from tests.factories import make_customer, make_feature, make_subscription, make_user, make_version
from tests.owner import as_owner

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1), utc(2026, 12, 1)
IN_SEPTEMBER, IN_OCTOBER = utc(2026, 9, 20, 9), utc(2026, 10, 20, 9)
UNLIMITED = Policy()


@pytest.fixture
def calls(db):
    return make_feature(name="API calls", unit_singular="call", unit_plural="calls")


@pytest.fixture
def subscription(calls):
    customer = make_customer(name="Acme", external_id="acme")
    version = make_version({"feature": calls, "unit_amount": D(1)})
    return make_subscription(customer=customer, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)


def states(subscription):
    return [(each.amount, each.state) for each in adjustments(subscription)]


@pytest.mark.parametrize(
    ("amount", "policy", "state"),
    [
        ("5", UNLIMITED, "waiting"),
        ("-5", UNLIMITED, "waiting"),
        ("5", Policy(holds_more=True), "held"),
        ("-5", Policy(holds_more=True), "waiting"),
        ("-5", Policy(holds_less=True), "held"),
        ("0", Policy(holds_more=True, holds_less=True), "waiting"),
        ("0.49", Policy(limits={"USD": D("0.50")}), "small"),
        ("-0.49", Policy(limits={"USD": D("0.50")}, holds_less=True), "small"),
        ("0.50", Policy(limits={"USD": D("0.50")}), "waiting"),
        ("0.49", Policy(limits={"EUR": D("0.50")}), "waiting"),
    ],
)
def test_the_policy_decides_the_state_of_a_difference(amount, policy, state):
    assert decide(D(amount), "USD", policy).state == state


def test_a_held_adjustment_waits_for_approval(subscription):
    LatePolicy.objects.create(more_due="hold")
    arrive(IN_SEPTEMBER, IN_OCTOBER)
    invoice_at(OCTOBER)
    arrive_many(2, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    assert states(subscription) == [(D(2), "held")]
    [october] = invoice_at(NOVEMBER)
    assert amounts(october) == [D(1)]
    by = make_user()
    assert [each.state for each in approve([adjustments(subscription)[0].pk], by=by, now=NOVEMBER)] == ["waiting"]
    assert approve([adjustments(subscription)[0].pk], by=by, now=NOVEMBER) == []
    [november] = invoice_at(DECEMBER)
    assert amounts(november) == [D(2)]
    assert adjustments(subscription)[0].decided_by == by


def test_an_approval_holds_for_the_amount_that_was_approved(subscription):
    LatePolicy.objects.create(more_due="hold")
    arrive(IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive(IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    approve([adjustments(subscription)[0].pk], by=None, now=IN_OCTOBER)
    work_late(IN_OCTOBER)
    assert states(subscription) == [(D(1), "waiting")]
    arrive(IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    assert states(subscription) == [(D(2), "held")]


def test_differences_below_the_limit_add_up_until_they_reach_it(subscription):
    LatePolicy.objects.create()
    LateLimit.objects.create(currency="USD", amount=D(3))
    arrive(IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive_many(2, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    [late] = adjustments(subscription)
    assert (late.state, late.reason) == ("small", "Smaller than $3.00")
    arrive(IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    assert states(subscription) == [(D(3), "waiting")]


def test_an_ignored_difference_stays_ignored_and_later_ones_count_from_there(subscription):
    arrive(IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive_many(2, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    pk = adjustments(subscription)[0].pk
    with pytest.raises(ReasonRequired):
        ignore([pk], reason=" ", by=None, now=IN_OCTOBER)
    [gone] = ignore([pk], reason="Our outage made them late", by=make_user(), now=IN_OCTOBER)
    assert (gone.state, gone.reason) == ("ignored", "Our outage made them late")
    arrive(IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    assert states(subscription) == [(D(2), "ignored"), (D(1), "waiting")]
    reopen_ignored([pk], by=None, now=IN_OCTOBER)
    assert states(subscription) == [(D(2), "cancelled"), (D(3), "waiting")]


def test_the_policy_can_credit_reductions_on_their_own_invoice(subscription):
    LatePolicy.objects.create(less_due="credit_note")
    make_tax(20)
    [first, *_] = arrive_many(4, IN_SEPTEMBER)
    [september] = invoice_at(OCTOBER)
    assert september.total == D("4.80")
    void_event(Event.objects.get(event_id=first), reason="A mistake", now=IN_OCTOBER)
    work_late(IN_OCTOBER)
    [note] = credit_reductions(now=IN_OCTOBER)
    assert (note.invoice, note.subtotal, note.total, note.state) == (september, D(1), D("1.20"), "finalized")
    assert [(each.state, each.credit_note) for each in adjustments(subscription)] == [("credited", note)]
    assert credit_reductions(now=IN_OCTOBER) == []
    work_late(IN_OCTOBER)
    september.refresh_from_db()
    assert (september.amount_remaining, invoice_at(NOVEMBER)) == (D("3.60"), [])


def test_a_void_credit_note_leaves_the_reduction_to_staff(subscription):
    LatePolicy.objects.create(less_due="credit_note")
    [first, *_] = arrive_many(4, IN_SEPTEMBER)
    invoice_at(OCTOBER)
    void_event(Event.objects.get(event_id=first), reason="A mistake", now=IN_OCTOBER)
    work_late(IN_OCTOBER)
    [note] = credit_reductions(now=IN_OCTOBER)
    void_credit_note(note, reason="Agreed otherwise", now=IN_OCTOBER, by=None)
    assert states(subscription) == [(D(-1), "held")]


def test_charges_of_another_invoice_are_deducted_on_the_next_instead_of_credited(subscription):
    LatePolicy.objects.create(less_due="credit_note")
    arrive(IN_SEPTEMBER)
    invoice_at(OCTOBER)
    late = arrive_many(3, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    assert credit_reductions(now=IN_OCTOBER) == []
    [october] = invoice_at(NOVEMBER)
    assert october.total == D(3)
    for event_id in late:
        void_event(Event.objects.get(event_id=event_id), reason="A mistake", now=NOVEMBER)
    work_late(NOVEMBER)
    # September's own invoice holds $1.00 only.
    assert credit_reductions(now=NOVEMBER) == []
    assert states(subscription) == [(D(3), "invoiced"), (D(-3), "waiting")]
    assert adjustments(subscription)[1].reason.startswith("Deducted on the next invoice: ")


def test_the_database_keeps_the_policy_in_one_row_with_valid_states(subscription):
    LatePolicy.objects.create()
    with pytest.raises(IntegrityError), transaction.atomic():
        LatePolicy.objects.create(id=2)
    arrive(IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive(IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    for state in (LateState.INVOICED, LateState.CREDITED, LateState.IGNORED):
        with pytest.raises(IntegrityError), transaction.atomic():
            LateAdjustment.objects.update(state=state)


# --- What the debugger says ---------------------------------------------------------------------------


def said(event_id, now):
    steps = diagnose(Event.objects.get(event_id=event_id), now=now)
    step = next(step for step in steps if step.key == StepKey.PERIOD)
    assert (step.status, step.reason) == ("warning", "period_already_invoiced")
    return step.sentence.split("event was ")[1]


def test_the_debugger_describes_a_late_event(subscription):
    arrive(IN_SEPTEMBER)
    invoice_at(OCTOBER)
    [late] = arrive(IN_SEPTEMBER)
    pending = "The difference is calculated within a minute, and goes on the subscription's next invoice."
    assert said(late, IN_OCTOBER) == f"counted. {pending}"
    work_late(IN_OCTOBER)
    assert said(late, IN_OCTOBER) == "counted. The difference, +$1.00, goes on the subscription's next invoice."
    [invoice] = invoice_at(NOVEMBER)
    assert said(late, NOVEMBER) == f"counted. The difference, +$1.00, is on {invoice}."


def test_the_debugger_shows_that_a_late_event_is_held_or_ignored(subscription):
    LatePolicy.objects.create(more_due="hold")
    arrive(IN_SEPTEMBER)
    invoice_at(OCTOBER)
    [late] = arrive(IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    assert said(late, IN_OCTOBER) == "counted. The difference, +$1.00, is waiting for approval."
    ignore([adjustments(subscription)[0].pk], reason="Our outage", by=None, now=IN_OCTOBER)
    assert said(late, IN_OCTOBER) == "counted. The difference, +$1.00, was waived: Our outage"


def test_the_debugger_describes_a_voided_event(subscription):
    first, _ = arrive(IN_SEPTEMBER, IN_SEPTEMBER)
    invoice_at(OCTOBER)
    with as_owner():
        Event.objects.update(processed_at=IN_SEPTEMBER)
    void_event(Event.objects.get(event_id=first), reason="A mistake", now=IN_OCTOBER)
    work_late(IN_OCTOBER)
    assert said(first, IN_OCTOBER) == "voided. The difference, -$1.00, goes on the subscription's next invoice."


def test_an_event_of_a_period_without_an_invoice_is_late_too(subscription):
    assert bill(OCTOBER) == []
    [late] = arrive(IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    steps = diagnose(Event.objects.get(event_id=late), now=IN_OCTOBER)
    step = next(step for step in steps if step.key == StepKey.PERIOD)
    assert step.sentence.endswith(
        "had nothing to invoice when it ended. The difference, +$1.00, goes on the subscription's next invoice."
    )


def test_a_paid_invoice_is_corrected_as_well(subscription):
    arrive(IN_SEPTEMBER)
    [september] = bill(OCTOBER)
    finalize_due(now=OCTOBER)
    september.refresh_from_db()
    pay_remaining_amount(september, now=OCTOBER)
    arrive(IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    assert states(subscription) == [(D(1), "waiting")]
