"""Minimum commitments of cumulative features in periods with a pause, a trial or a plan change. $1.00 per GB."""

import pytest

from catalog.publishing import publish
from customers.subscriptions import change_plan, pause
from tests.billing.world import D, amounts, bill, lines, use, utc
from tests.factories import (
    make_customer,
    make_draft,
    make_entitlement,
    make_feature,
    make_price,
    make_subscription,
    make_version,
)

pytestmark = pytest.mark.django_db

SEPTEMBER, OCTOBER = utc(2026, 9, 1), utc(2026, 10, 1)


@pytest.fixture
def storage(db):
    return make_feature(name="Storage", event_name="stored", field="gb", reset="cumulative")


def stored(storage, version, gigabytes, **given):
    customer = make_customer()
    use(customer, storage, utc(2026, 9, 2), gigabytes)
    return make_subscription(customer=customer, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER, **given)


def priced(storage, minimum):
    return make_version({"feature": storage, "unit_amount": D(1), "minimum_amount": D(minimum)})


def test_a_minimum_includes_the_days_before_a_pause(storage):
    subscription = stored(storage, priced(storage, 90), 5)
    now = utc(2026, 9, 11)
    pause(subscription, at=now, until=utc(2026, 9, 21), now=now, by=None)
    [cycle] = bill(OCTOBER)
    # 20 of 30 days: $90 × 20/30 = $60, of which $5 is used.
    assert lines(cycle) == [
        ("Storage, 21–30 Sep 2026 · running total 5 at the end, 5 × $1.00", D(5)),
        ("Storage, 1–30 Sep 2026 · minimum commitment $60.00, less $5.00 of usage", D(55)),
    ]
    assert cycle.lines.last().computation["days"] == {"charged": 20, "of": 30}


def test_a_minimum_counts_each_active_day_once_over_two_pauses(storage):
    subscription = stored(storage, priced(storage, 90), 5)
    for start, end in ((6, 11), (16, 21)):
        now = utc(2026, 9, start)
        pause(subscription, at=now, until=utc(2026, 9, end), now=now, by=None)
    # 5 + 5 + 10 days: $60.
    assert amounts(bill(OCTOBER)[0]) == [D(5), D(55)]


def test_a_period_that_ends_paused_owes_the_minimum_of_its_active_days(storage):
    subscription = stored(storage, priced(storage, 90), 5)
    pause(subscription, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    assert amounts(bill(OCTOBER)[0]) == [D(5), D(25)]


def test_the_last_versions_minimum_applies_to_the_whole_period(storage):
    subscription = stored(storage, priced(storage, 60), 5)
    now = utc(2026, 9, 16)
    change_plan(subscription, priced(storage, 90), at=now, now=now, by=None)
    assert amounts(bill(OCTOBER)[0]) == [D(5), D(85)]


def test_trial_days_owe_no_minimum(storage):
    subscription = stored(storage, priced(storage, 90), 5, trial_days=10)
    # Periods count from the trial's end on 11 September: the one behind it owes all of $90.
    cycle = bill(utc(2026, 10, 11))[-1]
    assert (subscription.started_at, amounts(cycle)) == (SEPTEMBER, [D(5), D(85)])


def test_prorated_free_units_are_prorated_by_the_same_days(storage):
    draft = make_draft()
    make_price(version=draft, feature=storage, unit_amount=D(1))
    make_entitlement(version=draft, feature=storage, free_units=90, is_prorated=True)
    subscription = stored(storage, publish(draft, now=SEPTEMBER, by=None), 100)
    now = utc(2026, 9, 11)
    pause(subscription, at=now, until=utc(2026, 9, 21), now=now, by=None)
    # 90 × 20/30 = 60 of 100 are free.
    assert amounts(bill(OCTOBER)[0]) == [D(40)]
