"""Terms that are agreed with one subscription: what they change, from when, until when, and what stays."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import DatabaseError

from catalog.agreed import (
    FeatureExclusion,
    FreeTierEdit,
    NotInTerms,
    PriceAddition,
    PriceEdit,
    PriceRemoval,
    QuantityEdit,
    QuantityNotAllowed,
)
from catalog.drafting import Tier
from catalog.models import PlanVersion, Price, SharedPrice
from catalog.selectors import Terms, entitlements_by_version, prices_on_terms
from catalog.wording import describe_price
from config.refusals import ReasonRequired
from customers.subscriptions import (
    ScheduledKind,
    agree_terms,
    cancel,
    change_plan,
    get_phase_at,
    get_phases,
    list_scheduled_changes,
    pause,
    withdraw_scheduled_change,
)
from tests.factories import make_feature, make_plan, make_subscription, make_version

pytestmark = pytest.mark.django_db
D = Decimal
MONTHLY = Terms("USD", "month")


def at(month: int, day: int = 1) -> datetime:
    return datetime(2026, month, day, tzinfo=UTC)


NOW = at(1, 10)


@pytest.fixture
def calls():
    return make_feature(name="API calls", unit_singular="call", unit_plural="calls")


@pytest.fixture
def plan(calls) -> PlanVersion:
    return make_version(
        {"kind": "fixed", "cadence": "advance", "name": "Seats", "unit_amount": D(10), "quantity": D(10),
         "quantity_minimum": D(5), "quantity_maximum": D(50)},
        {"feature": calls, "unit_amount": D("0.10"), "position": 1},
        {"kind": "fixed", "cadence": "advance", "name": "Platform", "unit_amount": D(99), "position": 2},
        free_units={calls: D(100)},
        name="Team",
    )  # fmt: skip


@pytest.fixture
def subscription(plan):
    return make_subscription(plan=plan)


@pytest.fixture
def seats(plan) -> Price:
    return Price.objects.get(version=plan, name="Seats")


def charged(subscription, moment: datetime) -> list[str]:
    """Return what the subscription is charged at a moment, in words."""
    version = get_phase_at(subscription, moment).plan_version
    return [f"{price.label}: {describe_price(price)}" for price in prices_on_terms(version, MONTHLY)]


def free_units(subscription, feature, moment: datetime) -> Decimal | None:
    version = get_phase_at(subscription, moment).plan_version
    return entitlements_by_version([version])[version.pk][feature.pk].free_units


LIST = [
    "Seats: 10 × $10.00 per month, in advance",
    "API calls: $0.10 per call; per month",
    "Platform: $99.00 per month, in advance",
]


def test_a_price_is_agreed_from_a_date_on_and_the_list_stays(subscription, plan, calls):
    price = plan.prices.get(feature=calls)
    tiers = [Tier(D(1000), D("0.08")), Tier(None, D("0.05"))]

    agree_terms(subscription, [PriceEdit(price, {"model": "graduated"}, tiers)], at=at(2), now=NOW, by=None)

    assert charged(subscription, NOW) == LIST
    assert charged(subscription, at(2)) == [
        LIST[0],
        "API calls: Graduated: up to 1,000 at $0.08, then $0.05; per month",
        LIST[2],
    ]
    agreed = Price.objects.get(listed=price)
    assert (agreed.version.base, agreed.version.agreed_for) == (plan, subscription.public_id)
    assert plan.prices.count() == 3
    assert PlanVersion.objects.get() == plan
    assert str(agreed.version) == "Team v1, agreed terms"


def test_what_is_equal_to_the_list_is_the_list_price(subscription, seats):
    edits = [PriceEdit(seats, {"unit_amount": D("10.00")}), QuantityEdit(seats, D(10))]

    agree_terms(subscription, edits, at=at(2), now=NOW, by=None)

    version = get_phase_at(subscription, at(2)).plan_version
    assert not version.prices.exists()
    assert version.shared_prices.count() == 3


def test_a_quantity_must_be_one_that_the_price_allows(subscription, seats, plan, calls):
    with pytest.raises(QuantityNotAllowed, match="Seats allows at least 5 and at most 50, not 51"):
        agree_terms(subscription, [QuantityEdit(seats, D(51))], at=at(2), now=NOW, by=None)
    with pytest.raises(QuantityNotAllowed, match="charges usage"):
        agree_terms(subscription, [QuantityEdit(plan.prices.get(feature=calls), D(2))], at=at(2), now=NOW, by=None)
    assert charged(subscription, at(2)) == LIST


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1)])
def test_changes_on_the_same_dates_give_the_same_terms_in_any_order(subscription, seats, order):
    changes = [(at(2), D(15)), (at(3), D(10)), (at(4), D(20))]

    for number in order:
        moment, quantity = changes[number]
        agree_terms(subscription, [QuantityEdit(seats, quantity)], at=moment, now=NOW, by=None)

    found = [charged(subscription, moment)[0].partition(" × ")[0] for moment in (NOW, at(2), at(3), at(4), at(5))]
    assert found == ["Seats: 10", "Seats: 15", "Seats: 10", "Seats: 20", "Seats: 20"]


def test_changes_of_different_terms_combine(subscription, seats):
    agree_terms(subscription, [QuantityEdit(seats, D(20))], at=at(3), now=NOW, by=None)
    agree_terms(subscription, [PriceEdit(seats, {"unit_amount": D(8)})], at=at(2), now=NOW, by=None)

    assert charged(subscription, at(2))[0] == "Seats: 10 × $8.00 per month, in advance"
    assert charged(subscription, at(3))[0] == "Seats: 20 × $8.00 per month, in advance"


def test_terms_can_end(subscription, seats):
    agree_terms(subscription, [PriceEdit(seats, {"unit_amount": D(5)})], at=at(2), until=at(5), now=NOW, by=None)

    assert charged(subscription, at(4))[0] == "Seats: 10 × $5.00 per month, in advance"
    assert charged(subscription, at(5)) == LIST


def test_features_are_excluded_and_included(subscription, plan, calls):
    support, bytes_sent = make_feature(name="Support", kind="boolean"), make_feature(name="Traffic")
    addition = PriceAddition({"feature": bytes_sent, "currency": "USD", "unit_amount": D(2)})
    edits = [FeatureExclusion(calls), FreeTierEdit(support, {}), addition]

    agree_terms(subscription, edits, at=at(2), now=NOW, by=None)

    assert charged(subscription, at(2)) == [LIST[0], LIST[2], "Traffic: $2.00 per unit; per month"]
    version = get_phase_at(subscription, at(2)).plan_version
    free_tiers = entitlements_by_version([version])[version.pk]
    assert {pk: row.is_enabled for pk, row in free_tiers.items()} == {calls.pk: False, support.pk: True}


def test_free_units_and_a_removed_price(subscription, plan, calls):
    platform = plan.prices.get(name="Platform")

    edits = [FreeTierEdit(calls, {"free_units": D(500)}), PriceRemoval(platform)]
    agree_terms(subscription, edits, at=at(2), now=NOW, by=None)
    agree_terms(subscription, [PriceEdit(platform, {"unit_amount": D(49)})], at=at(3), now=NOW, by=None)

    assert (free_units(subscription, calls, NOW), free_units(subscription, calls, at(3))) == (D(100), D(500))
    assert charged(subscription, at(2)) == LIST[:2]
    assert charged(subscription, at(3)) == [*LIST[:2], "Platform: $49.00 per month, in advance"]


def test_a_change_of_plan_ends_agreed_terms(subscription, seats):
    other = make_plan(name="Other")
    agree_terms(subscription, [QuantityEdit(seats, D(20))], at=NOW, now=NOW, by=None)
    change_plan(subscription, other, at=at(3), now=NOW, by=None)

    agree_terms(subscription, [QuantityEdit(seats, D(30))], at=at(2), now=NOW, by=None)

    assert charged(subscription, at(2))[0].startswith("Seats: 30")
    assert charged(subscription, at(3)) == ["Recurring fee: $10.00 per month, in advance"]
    with pytest.raises(NotInTerms, match="Seats isn't"):
        agree_terms(subscription, [QuantityEdit(seats, D(30))], at=at(3), now=NOW, by=None)


def test_agreed_terms_survive_a_pause_and_end_with_the_subscription(subscription, seats):
    pause(subscription, at=at(2, 10), until=at(2, 20), now=NOW, by=None)
    cancel(subscription, at=at(4), now=NOW, by=None)

    agree_terms(subscription, [QuantityEdit(seats, D(20))], at=at(2), now=NOW, by=None)

    kinds = [(phase.kind, phase.plan_version.base_id is not None) for phase in get_phases(subscription)]
    assert kinds == [("active", False), ("active", True), ("paused", True), ("active", True)]
    assert PlanVersion.with_agreed.exclude(base=None).count() == 1


def test_a_change_of_the_past_needs_a_reason(subscription, seats):
    with pytest.raises(ReasonRequired):
        agree_terms(subscription, [QuantityEdit(seats, D(20))], at=at(1, 5), now=NOW, by=None)
    assert not PlanVersion.with_agreed.exclude(base=None).exists()


def test_scheduled_terms_are_listed_and_withdrawn(subscription, seats):
    agree_terms(subscription, [QuantityEdit(seats, D(20))], at=at(2), now=NOW, by=None, reason="More seats")
    agree_terms(subscription, [QuantityEdit(seats, D(30))], at=at(3), now=NOW, by=None)

    scheduled = list_scheduled_changes(subscription, list(get_phases(subscription)), NOW)
    assert [(change.kind, change.at) for change in scheduled] == [
        (ScheduledKind.TERMS_CHANGE, at(2)),
        (ScheduledKind.TERMS_CHANGE, at(3)),
    ]
    withdraw_scheduled_change(subscription, only=scheduled[0], now=NOW, by=None)
    assert charged(subscription, at(4)) == LIST


def test_agreed_terms_never_change(subscription, seats):
    agree_terms(subscription, [QuantityEdit(seats, D(20))], at=at(2), now=NOW, by=None)
    with pytest.raises(DatabaseError, match="never changes"):
        SharedPrice.objects.all().delete()


def test_a_subscription_can_start_on_agreed_terms(plan, seats):
    subscription = make_subscription(plan=plan, terms=[QuantityEdit(seats, D(40))], trial_days=14)

    assert {phase.kind for phase in get_phases(subscription)} == {"trial", "active"}
    assert charged(subscription, NOW)[0].startswith("Seats: 40")
