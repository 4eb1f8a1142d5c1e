"""What is scheduled for the end of the period during a trial takes effect at the trial's end, and costs nothing before.

A plan at $30.00 a month in advance. The trial is from 10 to 20 September 2026, unless a test says otherwise. With
calendar billing the period would end on 1 October.
"""

from decimal import Decimal

import pytest

from billing.invoicing.upcoming import upcoming
from customers.api.serializers.subscriptions import serialize_subscriptions
from customers.models import Alignment
from customers.subscriptions import cancel, cancel_at_period_end, change_plan, get_period_end, get_phases, pause
from tests.admin_pages import submit, text_of, url
from tests.billing.world import bill, utc
from tests.factories import make_subscription, make_version

pytestmark = pytest.mark.django_db
TENTH, TWELFTH, TWENTIETH = utc(2026, 9, 10), utc(2026, 9, 12), utc(2026, 9, 20)
OCTOBER, DECEMBER = utc(2026, 10, 1), utc(2026, 12, 1)
FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": Decimal(30)}
alignments = pytest.mark.parametrize("alignment", [Alignment.CALENDAR, Alignment.ANNIVERSARY])


def trial(alignment=Alignment.CALENDAR, days=10, **values):
    plan = make_version(FEE)
    return make_subscription(plan=plan, starts_at=TENTH, now=TENTH, trial_days=days, alignment=alignment, **values)


def total_of(subscription):
    return sum((invoice.total for invoice in subscription.invoices.all()), Decimal(0))


def reports_end_of_period(subscription, now):
    return serialize_subscriptions([subscription], now=now)[0]["cancel_at_period_end"]


@alignments
def test_a_trial_cancelled_at_period_end_ends_with_the_trial_and_costs_nothing(alignment):
    subscription = trial(alignment)
    cancel_at_period_end(subscription, now=TWELFTH, by=None)
    assert subscription.ended_at == TWENTIETH
    bill(DECEMBER)
    assert total_of(subscription) == 0


@alignments
def test_a_trial_longer_than_a_period_is_cancelled_at_its_end(alignment):
    # 45 days from 10 September: until 25 October, although a period ends on 25 September or 1 October.
    subscription = trial(alignment, days=45)
    cancel_at_period_end(subscription, now=TWELFTH, by=None)
    assert subscription.ended_at == utc(2026, 10, 25)
    bill(DECEMBER)
    assert total_of(subscription) == 0


@alignments
def test_a_scheduled_subscription_with_a_trial_is_cancelled_at_the_trials_end(alignment):
    subscription = trial(alignment)
    cancel_at_period_end(subscription, now=utc(2026, 9, 5), by=None)
    assert subscription.ended_at == TWENTIETH


def test_a_cancellation_within_the_trial_is_replaced_by_one_at_the_trials_end():
    subscription = trial()
    cancel(subscription, at=utc(2026, 9, 15), now=TWELFTH, by=None)
    assert not reports_end_of_period(subscription, TWELFTH)
    cancel_at_period_end(subscription, now=utc(2026, 9, 13), by=None)
    assert subscription.ended_at == TWENTIETH
    assert reports_end_of_period(subscription, utc(2026, 9, 13))
    assert not reports_end_of_period(subscription, TWENTIETH)  # it has ended


def test_a_fixed_end_within_the_trial_stays():
    subscription = trial(ends_at=utc(2026, 9, 16))
    cancel_at_period_end(subscription, now=TWELFTH, by=None)
    assert subscription.ended_at == utc(2026, 9, 16)


def test_after_the_trial_the_period_ends_as_usual():
    subscription = trial()
    assert get_period_end(subscription, utc(2026, 9, 20)) == OCTOBER


@alignments
def test_a_plan_change_at_period_end_takes_effect_when_the_trial_ends(alignment):
    subscription = trial(alignment)
    dearer = make_version(FEE | {"unit_amount": Decimal(60)})
    change_plan(subscription, dearer, at=get_period_end(subscription, TWELFTH), now=TWELFTH, by=None)
    assert [(phase.kind, phase.starts_at) for phase in get_phases(subscription)] == [
        ("trial", TENTH),
        ("active", TWENTIETH),
    ]
    bill(TWENTIETH)
    # Calendar: 20 to 30 September is 11 of 30 days of $60.00. Anniversary: the first month from the 20th on.
    assert total_of(subscription) == (Decimal("22.00") if alignment == Alignment.CALENDAR else Decimal("60.00"))


def test_a_plan_changed_within_the_trial_does_not_move_the_trials_end():
    subscription = trial()
    change_plan(subscription, make_version(FEE), at=TWELFTH, now=TWELFTH, by=None)
    assert get_period_end(subscription, TWELFTH) == TWENTIETH


@alignments
def test_a_pause_at_period_end_starts_when_the_trial_ends(alignment):
    subscription = trial(alignment)
    pause(subscription, at=get_period_end(subscription, TWELFTH), now=TWELFTH, by=None)
    assert [phase.kind for phase in get_phases(subscription)] == ["trial", "paused"]
    bill(DECEMBER)
    assert total_of(subscription) == 0


@alignments
def test_the_api_cancels_changes_and_pauses_at_the_trials_end(api, monkeypatch, alignment):
    subscription = trial(alignment)
    dearer = make_version(FEE | {"unit_amount": Decimal(60)})
    for module in ("customers.api.subscriptions", "billing.api.plan_changes"):
        monkeypatch.setattr(f"{module}.timezone.now", lambda: TWELFTH)
    path = f"subscriptions/{subscription.public_id}"
    change = {"target_plan_id": dearer.plan.public_id, "change_at": "end_of_period"}
    assert api.post(f"{path}/change/preview", change)["effective_date"] == "2026-09-20T00:00:00Z"
    paused = api.post(f"{path}/pause", {"pause_mode": "period_end"})["subscription"]
    assert paused["subscription_status"] == "trialing"
    assert get_phases(subscription).filter(kind="paused").get().starts_at == TWENTIETH
    cancelled = api.post(f"{path}/cancel", {"cancellation_type": "end_of_period"})
    assert cancelled["effective_date"] == "2026-09-20T00:00:00Z"
    assert upcoming(subscription.pk, now=TWELFTH).total == 0


@alignments
def test_the_admin_cancels_at_the_trials_end_and_previews_nothing_to_pay(staff_client, monkeypatch, alignment):
    subscription = trial(alignment)
    monkeypatch.setattr("customers.admin.subscriptions.change_forms.timezone.now", lambda: TWELFTH)
    address = url("billing_change_effect", "cancel", subscription.pk)
    assert "$0.00" in text_of(staff_client.post(address, {"when": "period_end"}))
    address = url("customers_subscription_pause", subscription.pk)
    monkeypatch.setattr("customers.admin.subscriptions.actions.timezone.now", lambda: TWELFTH)
    submit(staff_client, address, when="period_end", reason="A break")
    assert get_phases(subscription).filter(kind="paused").get().starts_at == TWENTIETH
