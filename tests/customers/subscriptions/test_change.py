import threading
from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import Q

from catalog.models import Plan, PlanVersion
from catalog.publishing import get_or_create_draft
from config.audit import changes_of
from config.personal_data.entries import read_entry
from config.refusals import ReasonRequired
from customers.models import Subscription, SubscriptionPhase
from customers.subscriptions import (
    CannotPause,
    ChangeAlreadyScheduled,
    NoMatchingPrice,
    NothingScheduled,
    NotPaused,
    NotYetStarted,
    SubscriptionEnded,
    cancel,
    cancel_at_period_end,
    change_plan,
    get_phase_history,
    get_phases,
    has_scheduled_change,
    pause,
    read_chain,
    resume,
    withdraw_scheduled_change,
)
from tests.factories import START, make_plan, make_subscription, make_user, make_version

pytestmark = pytest.mark.django_db


def at(month: int, day: int, hour: int = 0) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


FEB = at(2, 10)
PERIOD_END = at(3, 1)


@pytest.fixture
def basic(db) -> Plan:
    return make_plan(name="Basic")


@pytest.fixture
def pro(db) -> Plan:
    return make_plan(name="Pro")


@pytest.fixture
def subscription(basic) -> Subscription:
    return make_subscription(plan=basic)


def life(subscription: Subscription) -> list[tuple[str, str, datetime, datetime | None]]:
    return [
        (phase.kind, phase.plan_version.plan.name, phase.starts_at, phase.ends_at) for phase in get_phases(subscription)
    ]


# --- Changing the plan -------------------------------------------------------------------------------


def test_a_plan_change_applies_from_its_moment_on(subscription, pro):
    user = make_user()
    change_plan(subscription, pro, at=FEB, now=FEB, by=user, reason="Upgrade")

    assert life(subscription) == [("active", "Basic", START, FEB), ("active", "Pro", FEB, None)]
    new = get_phases(subscription)[1]
    assert (new.recorded_by, new.reason, new.recorded_at) == (user, "Upgrade", FEB)


def test_a_superseded_phase_is_kept(subscription, pro):
    change_plan(subscription, pro, at=FEB, now=FEB, by=None)

    old = get_phase_history(subscription).exclude(superseded_at=None).get()
    assert (old.starts_at, old.ends_at, old.superseded_at) == (START, None, FEB)


def test_a_plan_change_can_be_scheduled(subscription, pro):
    change_plan(subscription, pro, at=PERIOD_END, now=FEB, by=None)

    assert life(subscription) == [("active", "Basic", START, PERIOD_END), ("active", "Pro", PERIOD_END, None)]


def test_a_plan_change_keeps_the_trial_the_pause_and_the_end(basic, pro):
    subscription = make_subscription(plan=basic, trial_days=14, ends_at=at(12, 1))
    pause(subscription, at=at(4, 1), until=at(5, 1), now=at(1, 2), by=None)

    change_plan(subscription, pro, at=at(1, 10), now=at(1, 10), by=None)

    assert life(subscription) == [
        ("trial", "Basic", START, at(1, 10)),
        ("trial", "Pro", at(1, 10), at(1, 15)),
        ("active", "Pro", at(1, 15), at(4, 1)),
        ("paused", "Pro", at(4, 1), at(5, 1)),
        ("active", "Pro", at(5, 1), at(12, 1)),
    ]


def test_a_repeated_plan_change_changes_nothing(subscription, pro):
    change_plan(subscription, pro, at=FEB, now=FEB, by=None)
    change_plan(subscription, pro, at=FEB, now=FEB, by=None)

    assert get_phase_history(subscription).count() == 3


def test_a_change_in_the_past_needs_a_reason(subscription, pro):
    with pytest.raises(ReasonRequired, match="from 2026-02-10 00:00 UTC"):
        change_plan(subscription, pro, at=FEB, now=PERIOD_END, by=None, reason=" ")
    assert life(subscription) == [("active", "Basic", START, None)]

    change_plan(subscription, pro, at=FEB, now=PERIOD_END, by=None, reason="Agreed on the phone on 10 February")
    assert life(subscription)[1] == ("active", "Pro", FEB, None)


def test_a_change_before_a_scheduled_change_is_refused(subscription, pro):
    change_plan(subscription, pro, at=PERIOD_END, now=FEB, by=None)

    with pytest.raises(ChangeAlreadyScheduled, match="A change to Pro v1 is scheduled for 2026-03-01"):
        change_plan(subscription, make_plan(), at=FEB, now=FEB, by=None)


def test_a_change_after_a_scheduled_change_is_added(subscription, pro):
    change_plan(subscription, pro, at=PERIOD_END, now=FEB, by=None)
    change_plan(subscription, make_plan(name="Max"), at=at(4, 1), now=FEB, by=None)

    assert [plan for _, plan, *_ in life(subscription)] == ["Basic", "Pro", "Max"]


def test_a_change_before_the_start_or_after_the_end_is_refused(subscription, pro):
    with pytest.raises(NotYetStarted):
        change_plan(subscription, pro, at=datetime(2025, 12, 1, tzinfo=UTC), now=FEB, by=None, reason="?")
    cancel(subscription, at=FEB, now=FEB, by=None)
    with pytest.raises(SubscriptionEnded):
        change_plan(subscription, pro, at=FEB, now=FEB, by=None)


def test_the_new_plan_needs_a_price_on_the_subscriptions_terms(subscription):
    with pytest.raises(NoMatchingPrice):
        change_plan(subscription, make_version({"currency": "EUR"}).plan, at=FEB, now=FEB, by=None)


def test_a_subscription_can_move_to_the_next_version_of_its_plan(subscription, basic):
    get_or_create_draft(basic, by=None)

    change_plan(subscription, basic, at=FEB, now=FEB, by=None)

    assert [phase.plan_version.number for phase in get_phases(subscription)] == [1, 2]
    assert PlanVersion.objects.get(plan=basic, number=2).is_published


# --- Cancelling --------------------------------------------------------------------------------------


def test_a_cancelled_subscription_ends_at_that_moment(subscription):
    user = make_user()
    cancel(subscription, at=FEB, now=FEB, by=user, reason="Customer closes")

    assert life(subscription) == [("active", "Basic", START, FEB)]
    assert (subscription.ended_at, subscription.cancelled_at) == (FEB, FEB)
    entry = read_entry(changes_of([subscription])[0])
    assert (entry.actor, entry.additional_data["reason"]) == (user, "Customer closes")
    assert get_phases(subscription).get().reason == "Customer closes"


def test_a_subscription_can_be_cancelled_at_the_end_of_the_period(subscription):
    cancel_at_period_end(subscription, now=FEB, by=None)

    assert (subscription.ended_at, subscription.cancelled_at) == (PERIOD_END, FEB)


def test_a_repeated_cancellation_changes_nothing(subscription):
    cancel(subscription, at=PERIOD_END, now=FEB, by=None)
    cancel(subscription, at=PERIOD_END, now=at(2, 11), by=None)
    cancel_at_period_end(subscription, now=at(2, 12), by=None)

    assert (subscription.cancelled_at, get_phase_history(subscription).count()) == (FEB, 2)


def test_a_scheduled_cancellation_can_be_moved_earlier_and_later(subscription):
    cancel(subscription, at=PERIOD_END, now=at(2, 1), by=None)
    cancel(subscription, at=at(4, 1), now=at(2, 2), by=None)
    assert life(subscription) == [("active", "Basic", START, at(4, 1))]

    cancel(subscription, at=FEB, now=FEB, by=None)
    assert life(subscription) == [("active", "Basic", START, FEB)]
    assert subscription.ended_at == FEB


def test_an_ended_subscription_can_not_be_cancelled(subscription):
    cancel(subscription, at=FEB, now=FEB, by=None)

    with pytest.raises(SubscriptionEnded, match="ended on 2026-02-10"):
        cancel(subscription, at=PERIOD_END, now=PERIOD_END, by=None)


def test_a_subscription_can_not_be_cancelled_after_its_end_date(basic):
    subscription = make_subscription(plan=basic, ends_at=at(4, 1))

    with pytest.raises(SubscriptionEnded, match="already ends on 2026-04-01"):
        cancel(subscription, at=at(5, 1), now=FEB, by=None)


def test_a_subscription_cancelled_before_its_start_never_starts(basic):
    subscription = make_subscription(plan=basic, starts_at=at(5, 1), now=FEB)

    cancel(subscription, at=FEB, now=FEB, by=None)

    assert life(subscription) == []
    for moment in (FEB, at(6, 1)):
        assert Subscription.objects.with_current(moment).filter(Q(status="cancelled")).exists()
        assert not Subscription.objects.live(moment).exists()


def test_a_cancellation_in_the_past_needs_a_reason(subscription):
    with pytest.raises(ReasonRequired):
        cancel(subscription, at=FEB, now=PERIOD_END, by=None)
    assert cancel(subscription, at=FEB, now=PERIOD_END, by=None, reason="Closed").ended_at == FEB


# --- Withdrawing -------------------------------------------------------------------------------------


def test_a_scheduled_cancellation_can_be_withdrawn(basic):
    subscription = make_subscription(plan=basic, trial_days=60, ends_at=at(12, 1))
    before = life(subscription)
    cancel(subscription, at=PERIOD_END, now=FEB, by=None)

    withdraw_scheduled_change(subscription, now=at(2, 11), by=None)

    assert life(subscription) == before
    assert (subscription.ended_at, subscription.cancelled_at) == (at(12, 1), None)


def test_a_withdrawn_cancellation_restores_phases_that_were_recorded_out_of_order(subscription, pro):
    change_plan(subscription, pro, at=at(6, 1), now=at(1, 5), by=None)
    pause(subscription, at=at(4, 1), until=at(5, 1), now=at(1, 6), by=None)
    with_pause = life(subscription)
    cancel(subscription, at=at(3, 15), now=FEB, by=None)
    cancel(subscription, at=at(4, 15), now=FEB, by=None)
    cancel(subscription, at=at(3, 20), now=FEB, by=None)
    cancel(subscription, at=at(9, 1), now=at(2, 11), by=None)

    assert life(subscription) == [*with_pause[:-1], ("active", "Pro", at(6, 1), at(9, 1))]


def test_all_scheduled_changes_are_withdrawn(subscription, pro):
    change_plan(subscription, pro, at=PERIOD_END, now=FEB, by=None)
    pause(subscription, at=at(4, 1), now=FEB, by=None)
    cancel(subscription, at=at(6, 1), now=FEB, by=None)
    assert has_scheduled_change(subscription, read_chain(subscription), FEB)

    withdraw_scheduled_change(subscription, now=at(2, 11), by=None)

    assert life(subscription) == [("active", "Basic", START, None)]
    assert subscription.ended_at is None
    assert not has_scheduled_change(subscription, read_chain(subscription), at(2, 11))


def test_the_end_of_a_trial_or_a_running_pause_is_no_scheduled_change(basic):
    subscription = make_subscription(plan=basic, trial_days=14)
    with pytest.raises(NothingScheduled):
        withdraw_scheduled_change(subscription, now=at(1, 2), by=None)

    pause(subscription, at=FEB, until=PERIOD_END, now=FEB, by=None)
    with pytest.raises(NothingScheduled):
        withdraw_scheduled_change(subscription, now=at(2, 11), by=None)


def test_a_change_in_force_is_not_withdrawn(subscription, pro):
    change_plan(subscription, pro, at=FEB, now=FEB, by=None)

    with pytest.raises(NothingScheduled):
        withdraw_scheduled_change(subscription, now=PERIOD_END, by=None)


def test_an_ended_subscription_has_nothing_to_withdraw(subscription):
    cancel(subscription, at=FEB, now=FEB, by=None)

    with pytest.raises(SubscriptionEnded):
        withdraw_scheduled_change(subscription, now=FEB, by=None)


# --- Pausing -----------------------------------------------------------------------------------------


def test_a_pause_lasts_until_resumed(subscription):
    pause(subscription, at=FEB, now=FEB, by=None, reason="Season over")
    resume(subscription, at=at(4, 5), now=at(4, 5), by=None)

    assert [(kind, start, end) for kind, _, start, end in life(subscription)] == [
        ("active", START, FEB),
        ("paused", FEB, at(4, 5)),
        ("active", at(4, 5), None),
    ]
    assert get_phases(subscription)[1].reason == "Season over"


def test_a_pause_with_an_end_can_be_resumed_earlier(subscription):
    pause(subscription, at=FEB, until=PERIOD_END, now=FEB, by=None)
    assert [kind for kind, *_ in life(subscription)] == ["active", "paused", "active"]

    resume(subscription, at=at(2, 20), now=at(2, 20), by=None)
    assert [(kind, end) for kind, _, _, end in life(subscription)] == [
        ("active", FEB),
        ("paused", at(2, 20)),
        ("active", None),
    ]


def test_a_pause_resumed_at_once_is_only_in_the_history(subscription):
    pause(subscription, at=FEB, now=FEB, by=None)
    resume(subscription, at=FEB, now=FEB, by=None)

    assert life(subscription) == [("active", "Basic", START, None)]
    assert get_phase_history(subscription).count() == 4


def test_only_active_subscriptions_can_be_paused_and_only_paused_subscriptions_resumed(basic):
    subscription = make_subscription(plan=basic, trial_days=14)
    with pytest.raises(CannotPause, match="in trial"):
        pause(subscription, at=at(1, 2), now=at(1, 2), by=None)
    with pytest.raises(NotPaused):
        resume(subscription, at=FEB, now=FEB, by=None)
    pause(subscription, at=FEB, now=FEB, by=None)
    with pytest.raises(CannotPause, match="paused"):
        pause(subscription, at=at(2, 11), now=at(2, 11), by=None)
    resume(subscription, at=at(2, 12), now=at(2, 12), by=None)
    with pytest.raises(CannotPause, match="must end after it starts"):
        pause(subscription, at=at(3, 2), until=at(3, 2), now=at(3, 2), by=None)


# --- The database's constraints ----------------------------------------------------------------------


def test_the_database_refuses_to_edit_or_delete_a_phase(subscription):
    phase = get_phases(subscription).get()
    phase.ends_at = FEB
    with pytest.raises(DatabaseError), transaction.atomic():
        phase.save()
    with pytest.raises(DatabaseError), transaction.atomic():
        phase.delete()
    with pytest.raises(DatabaseError), transaction.atomic():
        SubscriptionPhase.objects.create(
            subscription=subscription, plan_version=phase.plan_version, starts_at=FEB, recorded_at=FEB
        )


@pytest.mark.django_db(transaction=True)
def test_two_concurrent_changes_leave_one_chain(subscription, pro):
    other = make_plan(name="Max")
    outcomes: list[str] = []

    def change(plan: Plan) -> None:
        try:
            change_plan(Subscription.objects.get(pk=subscription.pk), plan, at=FEB, now=FEB, by=None)
            outcomes.append("changed")
        finally:
            connection.close()

    threads = [threading.Thread(target=change, args=[plan]) for plan in (pro, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == ["changed", "changed"]
    (first, second) = life(subscription)
    assert first == ("active", "Basic", START, FEB)
    assert second[1] in ("Pro", "Max")
    assert second[2:] == (FEB, None)
