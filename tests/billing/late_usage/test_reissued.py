"""The replacement of a void invoice for late usage charges the same late usage. $1 a call."""

import pytest
from django.db import IntegrityError, transaction

from billing.late_usage.decisions import approve, ignore
from billing.lifecycle.finalize import finalize
from billing.lifecycle.recompute import recompute
from billing.lifecycle.void import reissue, void
from billing.models import LateAdjustment, LateLimit, LatePolicy
from billing.runs.late_usage import bill_ended
from billing.settlement.credit_notes import draft_credit_note
from customers.subscriptions import cancel
from events.ledger.voiding import void_event
from events.models import Event
from tests.billing.late import adjustments, arrive, arrive_many, invoice_at, work_late
from tests.billing.world import D, invoices_of, lines, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1), utc(2026, 12, 1)
EARLY, ENDED, IN_SEPTEMBER = utc(2026, 9, 6), utc(2026, 9, 11), utc(2026, 9, 20, 9)


@pytest.fixture
def subscription(db):
    calls = make_feature(name="API calls", unit_singular="call", unit_plural="calls")
    acme = make_customer(external_id="acme")
    version = make_version({"feature": calls, "unit_amount": D(1)})
    return make_subscription(customer=acme, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)


def end(subscription, at=ENDED):
    cancel(subscription, at=at, now=at, by=None)
    return invoice_at(at)


@pytest.fixture
def over_late_usage(subscription):
    """A finalized invoice over two late calls, $2.00, of a subscription that has ended."""
    end(subscription)
    arrive_many(2, EARLY)
    work_late(IN_SEPTEMBER)
    [late] = bill_ended(now=IN_SEPTEMBER)
    return finalize(late, now=IN_SEPTEMBER)


def voided(invoice):
    return void(invoice, reason="Wrong address", by=None, now=IN_SEPTEMBER)


def reissued(invoice, now=IN_SEPTEMBER):
    return reissue(invoice, reason="Wrong address", by=None, now=now)


def test_the_replacement_of_a_void_late_invoice_charges_the_same(over_late_usage):
    voided(over_late_usage)
    again = reissued(over_late_usage)
    assert (lines(again), again.total) == (lines(over_late_usage), D(2))
    finalize(again, now=IN_SEPTEMBER)
    work_late(OCTOBER)
    assert bill_ended(now=OCTOBER) == []
    assert [(each.state, each.line) for each in adjustments(again.subscription)] == [("invoiced", again.lines.get())]


def test_adjustments_ignored_since_the_void_stay_out_of_the_replacement(over_late_usage):
    voided(over_late_usage)
    ignore([each.pk for each in adjustments(over_late_usage.subscription)], reason="Agreed", by=None, now=IN_SEPTEMBER)
    assert lines(reissued(over_late_usage)) == []


def test_adjustments_approved_since_the_void_stay_on_their_new_invoice(over_late_usage):
    voided(over_late_usage)
    approve([each.pk for each in adjustments(over_late_usage.subscription)], by=None, now=IN_SEPTEMBER)
    [other] = bill_ended(now=OCTOBER)
    assert (other.total, reissued(over_late_usage).total) == (D(2), D(0))


def test_usage_credited_by_hand_since_the_void_is_left_to_staff(subscription):
    first, *_ = arrive_many(3, EARLY)
    [final] = end(subscription)
    void_event(Event.objects.get(event_id=first), reason="A mistake", now=IN_SEPTEMBER)
    work_late(IN_SEPTEMBER)
    [late] = bill_ended(now=IN_SEPTEMBER)
    assert finalize(late, now=IN_SEPTEMBER).total == D(-1)
    voided(late)
    note = draft_credit_note(final, {final.lines.get().pk: D(1)}, reason="billing_error", by=None)
    assert lines(reissued(late)) == []
    assert [(each.state, each.reason) for each in adjustments(subscription)] == [("held", f"Credited by {note}")]


def test_further_late_usage_is_held_with_the_released_adjustment(over_late_usage):
    voided(over_late_usage)
    arrive(EARLY)
    work_late(IN_SEPTEMBER)
    assert bill_ended(now=IN_SEPTEMBER) == []
    [held] = adjustments(over_late_usage.subscription)
    assert (held.state, held.reason, held.amount) == ("held", f"{over_late_usage} was voided", D(3))
    assert reissued(over_late_usage).total == D(3)


def test_a_released_adjustment_holds_earlier_differences_too(over_late_usage):
    arrive(EARLY)
    work_late(IN_SEPTEMBER)
    voided(over_late_usage)
    assert bill_ended(now=IN_SEPTEMBER) == []
    assert [(each.state, each.amount) for each in adjustments(over_late_usage.subscription)] == [
        ("cancelled", D(2)),
        ("held", D(3)),
    ]
    assert reissued(over_late_usage).total == D(3)


def test_late_usage_on_a_void_last_invoice_waits_for_its_replacement(subscription):
    arrive(EARLY)
    invoice_at(OCTOBER)
    arrive_many(2, EARLY)
    work_late(OCTOBER)
    arrive(utc(2026, 10, 5))
    [final] = end(subscription, at=utc(2026, 10, 11))
    assert final.total == D(3)
    void(final, reason="Wrong address", by=None, now=NOVEMBER)
    work_late(NOVEMBER)
    assert bill_ended(now=NOVEMBER) == []
    assert reissued(final, now=NOVEMBER).total == D(3)


def test_a_replacement_charges_late_usage_despite_differences_below_the_limit(subscription):
    LatePolicy.objects.create()
    LateLimit.objects.create(currency="USD", amount=D("1.50"))
    arrive(EARLY)
    invoice_at(OCTOBER)
    arrive_many(2, EARLY)
    work_late(OCTOBER)
    [october] = invoice_at(NOVEMBER)
    arrive(EARLY)
    work_late(NOVEMBER)
    again = reissued(october, now=NOVEMBER)
    assert (lines(again), again.total) == (lines(october), D(2))
    assert [(each.state, each.amount) for each in adjustments(subscription)] == [("invoiced", D(2)), ("small", D(1))]


def test_a_released_adjustment_includes_differences_below_the_limit(subscription):
    LatePolicy.objects.create()
    LateLimit.objects.create(currency="USD", amount=D("1.50"))
    arrive(EARLY)
    invoice_at(OCTOBER)
    arrive_many(2, EARLY)
    work_late(OCTOBER)
    [october] = invoice_at(NOVEMBER)
    arrive(EARLY)
    work_late(NOVEMBER)
    void(october, reason="Wrong address", by=None, now=NOVEMBER)
    invoice_at(DECEMBER)
    assert [invoice.total for invoice in invoices_of(subscription)] == [D(1), D(2), D(3)]


@pytest.mark.parametrize("is_recalculated", [True, False])
def test_usage_that_comes_after_the_replacement_is_drafted_is_charged_once(subscription, is_recalculated):
    arrive(EARLY)
    [september] = invoice_at(OCTOBER)
    replacement = reissued(september, now=OCTOBER)
    arrive_many(2, EARLY)
    work_late(NOVEMBER)
    # Only a person finalizes the draft. Until then, late usage of its period goes on no other invoice.
    assert (invoice_at(NOVEMBER), adjustments(subscription)) == ([], [])
    if is_recalculated:
        recompute(replacement, now=NOVEMBER)
    finalize(replacement, now=NOVEMBER)
    work_late(NOVEMBER)
    invoice_at(DECEMBER)
    live = subscription.invoices.exclude(state="void").order_by("pk")
    assert [invoice.total for invoice in live] == ([D(3)] if is_recalculated else [D(1), D(2)])


@pytest.mark.parametrize("comes", ["before the void", "after the void"])
def test_late_usage_that_wasnt_approved_stays_out_of_the_replacement(subscription, comes):
    LatePolicy.objects.create(more_due="hold")
    end(subscription)
    arrive_many(2, EARLY)
    work_late(IN_SEPTEMBER)
    approve([each.pk for each in adjustments(subscription)], by=None, now=IN_SEPTEMBER)
    [late] = bill_ended(now=IN_SEPTEMBER)
    late = finalize(late, now=IN_SEPTEMBER)
    if comes == "after the void":
        voided(late)
    arrive(EARLY)
    work_late(IN_SEPTEMBER)
    voided(late)
    assert reissued(late).total == D(0)
    held = adjustments(subscription)[-1]
    assert (held.state, held.reason, held.amount) == ("held", f"{late} was voided", D(3))


def test_a_released_adjustment_is_cancelled_with_its_usage(over_late_usage):
    voided(over_late_usage)
    for event in Event.objects.all():
        void_event(event, reason="A mistake", now=IN_SEPTEMBER)
    work_late(IN_SEPTEMBER)
    assert states(over_late_usage) == [("cancelled", None)]
    assert lines(reissued(over_late_usage)) == []


def test_a_released_adjustment_is_charged_by_its_own_periods_replacement(subscription):
    arrive(EARLY)
    [final] = end(subscription)
    arrive_many(2, EARLY)
    work_late(IN_SEPTEMBER)
    [late] = bill_ended(now=IN_SEPTEMBER)
    voided(finalize(late, now=IN_SEPTEMBER))
    assert states(late) == [("held", late)]
    voided(final)
    assert states(late) == [("cancelled", None)]
    assert (lines(reissued(late)), reissued(final).total) == ([], D(3))


def test_only_held_adjustments_are_kept_for_a_replacement(over_late_usage):
    voided(over_late_usage)
    with pytest.raises(IntegrityError, match="late_adjustment_returned_waits_for_approval"), transaction.atomic():
        LateAdjustment.objects.update(state="waiting")


def states(invoice):
    return [(each.state, each.returned_by) for each in adjustments(invoice.subscription)]
