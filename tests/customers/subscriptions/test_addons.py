"""Add-ons of subscriptions: what is refused, what stays when something else changes, and what changes nothing."""

from datetime import datetime, timedelta

import pytest

from billing.invoicing.upcoming import upcoming
from catalog.addons import AddonNotCompatible
from catalog.agreed import QuantityEdit
from catalog.publishing import NothingPublished
from catalog.selectors import entitlements_by_version, prices_by_version
from config.refusals import ReasonRequired
from customers.models import Subscription
from customers.subscriptions import (
    AddonOrder,
    EndsBeforeStart,
    NoMatchingPrice,
    TooManyAddons,
    add_addon,
    agree_terms,
    cancel,
    change_plan,
    get_phases,
    list_scheduled_changes,
    pause,
    read_chain,
    remove_addon,
    subscribe,
    undo_scheduled_cancellation,
)
from tests.billing.world import D, utc
from tests.factories import START, make_addon, make_customer, make_feature, make_plan, make_subscription, make_version

pytestmark = pytest.mark.django_db
SUPPORT = {"kind": "fixed", "cadence": "advance", "name": "Support", "unit_amount": D(30)}
SEATS = {"kind": "fixed", "cadence": "advance", "name": "Seats", "unit_amount": D(10), "quantity": D(10)}
BY = {"by": None, "now": START}


def charged(subscription: Subscription, at: datetime) -> dict[str, str]:
    """Return how often each price is charged at a moment."""
    phase = next(phase for phase in reversed(get_phases(subscription)) if phase.starts_at <= at)
    prices = prices_by_version([phase.plan_version])[phase.plan_version_id]
    return {price.label: f"{price.quantity.normalize():f}" for price in prices}


def costs(subscription: Subscription) -> list[tuple[str, str]]:
    lines = [line for invoice in upcoming(subscription.pk, now=utc(2026, 4, 1)).earlier for line in invoice.lines]
    return [(line.description, f"{line.amount}") for line in lines]


@pytest.mark.parametrize("days", [0, 9, 45])
def test_added_and_removed_at_the_same_moment_it_charges_nothing(days):
    subscription, addon = make_subscription(plan=make_version(SEATS)), make_addon(SUPPORT).plan
    before, at = costs(subscription), START + timedelta(days=days)
    row = add_addon(subscription, addon, at=at, **BY)
    assert costs(subscription) != before
    remove_addon(row, at=at, **BY)
    assert costs(subscription) == before


def test_the_order_in_which_add_ons_are_added_changes_nothing():
    plan = make_version(SEATS)
    support, storage = make_addon(SUPPORT).plan, make_addon(SUPPORT | {"name": "Storage"}).plan
    orders = [
        (support, utc(2026, 1, 10), None),
        (support, utc(2026, 2, 3), utc(2026, 3, 4)),
        (storage, utc(2026, 1, 20), None),
    ]
    totals = []
    for order in (orders, orders[::-1]):
        subscription = make_subscription(plan=plan)
        for addon, at, until in order:
            add_addon(subscription, addon, at=at, until=until, **BY)
        totals.append(costs(subscription))
    assert totals[0] == totals[1]


def test_other_changes_leave_add_ons_where_they_are():
    plan = make_version(SEATS)
    subscription = make_subscription(plan=plan)
    add_addon(subscription, make_addon(SUPPORT).plan, at=utc(2026, 1, 11), until=utc(2026, 3, 11), **BY)
    agree_terms(subscription, [QuantityEdit(plan.prices.get(), D(20))], at=utc(2026, 2, 1), **BY)
    assert charged(subscription, utc(2026, 1, 5)) == {"Seats": "10"}
    assert charged(subscription, utc(2026, 1, 20)) == {"Seats": "10", "Support": "1"}
    assert charged(subscription, utc(2026, 2, 20)) == {"Seats": "20", "Support": "1"}
    assert charged(subscription, utc(2026, 3, 20)) == {"Seats": "20"}
    pause(subscription, at=utc(2026, 2, 10), until=utc(2026, 2, 20), **BY)
    cancel(subscription, at=utc(2026, 2, 25), **BY)
    undo_scheduled_cancellation(subscription, **BY)
    change_plan(subscription, make_plan(name="Pro"), at=utc(2026, 3, 1), **BY)
    assert charged(subscription, utc(2026, 3, 5)) == {"Recurring fee": "1", "Support": "1"}
    assert charged(subscription, utc(2026, 3, 20)) == {"Recurring fee": "1"}
    # Without the add-on, the chain is that of the other changes, and only these are scheduled.
    assert [span.starts_at.day for span in read_chain(subscription)] == [1, 1, 10, 20, 1]
    kinds = [change.kind for change in list_scheduled_changes(subscription, get_phases(subscription), START)]
    assert kinds == ["terms_change", "pause", "plan_change"]


def test_free_units_and_features_are_included_as_often_as_the_add_on_is_there():
    calls, reports = make_feature(name="Calls"), make_feature(name="Reports", kind="boolean")
    subscription = make_subscription(plan=make_version(SEATS, free_units={calls: D(100)}))
    addon = make_addon(SUPPORT, free_units={calls: D(50), reports: None}).plan
    for _ in range(2):
        add_addon(subscription, addon, at=START, **BY)
    version = get_phases(subscription).get().plan_version
    included = entitlements_by_version([version])[version.pk]
    assert (included[calls.pk].free_units, included[reports.pk].is_enabled) == (D(200), True)
    assert charged(subscription, START) == {"Seats": "10", "Support": "2"}


def test_a_subscription_starts_with_add_ons():
    order = AddonOrder(make_addon(SUPPORT).plan, START)
    subscription = subscribe(
        make_customer(), make_version(SEATS), currency="USD", interval="month", starts_at=START, addons=[order], **BY
    )
    assert charged(subscription, START) == {"Seats": "10", "Support": "1"}
    assert subscription.phases.count() == 1


def test_what_can_not_be_added_is_refused():
    calls = make_feature(name="Calls")
    usage = {"feature": calls, "unit_amount": D(1)}
    plan = make_version(usage, name="Growth")
    subscription = make_subscription(plan=plan)

    def refused(error: type[Exception], match: str, addon, at=START, **values):
        with pytest.raises(error, match=match):
            add_addon(subscription, addon, at=at, **BY | values)
        assert not subscription.addons.exists()

    refused(AddonNotCompatible, "charges the usage of Calls", make_addon(usage).plan)
    other = make_addon(SUPPORT, name="Support", compatible_plans=[make_plan(name="Pro")]).plan
    refused(AddonNotCompatible, "Support can't be added to Growth, only to Pro", other)
    refused(NoMatchingPrice, "has no price in USD monthly", make_addon(SUPPORT | {"currency": "EUR"}).plan)
    good = make_addon(SUPPORT).plan
    refused(EndsBeforeStart, "ends before it starts", good, at=utc(2026, 2, 1), until=utc(2026, 1, 1))
    refused(ReasonRequired, "Enter a reason", good, now=utc(2026, 2, 1))
    with pytest.raises(NothingPublished, match="is an add-on"):
        change_plan(subscription, good, at=START, **BY)


def test_an_add_on_has_a_maximum_at_the_same_time():
    subscription, addon = make_subscription(), make_addon(SUPPORT, name="Support", maximum=2).plan
    add_addon(subscription, addon, at=START, until=utc(2026, 2, 1), **BY)
    add_addon(subscription, addon, at=utc(2026, 1, 10), **BY)
    with pytest.raises(TooManyAddons, match="Support at most 2 times"):
        add_addon(subscription, addon, at=utc(2026, 1, 5), **BY)
    add_addon(subscription, addon, at=utc(2026, 2, 1), **BY)
    assert charged(subscription, utc(2026, 2, 2))["Support"] == "2"


def test_a_plan_that_the_add_on_does_not_fit_is_refused_while_it_is_there():
    growth, pro = make_version(SEATS, name="Growth"), make_plan(name="Pro")
    subscription = make_subscription(plan=growth)
    row = add_addon(subscription, make_addon(SUPPORT, compatible_plans=[growth.plan]).plan, at=START, **BY)
    with pytest.raises(AddonNotCompatible):
        change_plan(subscription, pro, at=utc(2026, 2, 1), **BY)
    remove_addon(row, at=utc(2026, 2, 1), **BY)
    change_plan(subscription, pro, at=utc(2026, 2, 1), **BY)
    assert charged(subscription, utc(2026, 2, 2)) == {"Recurring fee": "1"}
