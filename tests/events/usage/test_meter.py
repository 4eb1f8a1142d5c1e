"""Usage of any window, exact to the microsecond."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from events.ledger.rebuilding import Scope, compare, rebuild_usage
from events.ledger.rollup import roll_up
from events.ledger.voiding import void_event
from events.models import UsageDay
from events.usage.meter import UsageRequest, event_values, usage, usage_many
from tests.events import slow_model
from tests.events.senders import NOON, ledger, process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


def test_a_window_includes_its_start_and_excludes_its_end():
    customer, calls = make_customer(external_id="acme"), make_feature(event_name="api.calls")
    for at in (minutes(0), minutes(59), minutes(60)):
        send(at=at)
    process()
    assert usage(customer.pk, calls, minutes(0), minutes(60)).value == 2
    assert usage(customer.pk, calls, minutes(59), minutes(60)).value == 1
    assert usage(customer.pk, calls, minutes(60), minutes(60)).value == 0


def test_partial_hours_are_read_from_the_ledger():
    customer, tokens = make_customer(external_id="acme"), make_feature(event_name="model.usage", field="tokens")
    for at, value in ((10, 1), (40, 10), (100, 100), (130, 1000), (170, 10000)):
        send("model.usage", at=minutes(at), tokens=value)
    process()
    assert usage(customer.pk, tokens, minutes(30), minutes(150)).value == 1110
    assert usage(customer.pk, tokens, minutes(30), minutes(45)).value == 10
    assert usage(customer.pk, tokens, minutes(5), minutes(171)).value == 11111


def test_a_cumulative_feature_counts_from_the_beginning():
    customer = make_customer(external_id="acme")
    stored = make_feature(event_name="storage", field="gb", reset="cumulative")
    for days, value in ((-400, 5), (-31, 3), (0, Decimal("-1.5"))):
        send("storage", at=NOON + timedelta(days=days), gb=value)
    process()
    assert usage(customer.pk, stored, NOON, minutes(60)).value == Decimal("6.5")
    assert usage(customer.pk, stored, NOON - timedelta(days=60), NOON).value == 8


def test_a_weighted_sum_is_the_time_average_of_a_level():
    """31 days from 31 July 18:30: 20 from the 16th, 10 more from the 18th and the 20th, 5 more from the 25th."""
    customer = make_customer(external_id="acme")
    seats = make_feature(event_name="seats", aggregation="weighted_sum", field="n", rounding="round", rounding_places=5)
    for day, value in ((16, 20), (18, 10), (20, 10), (25, 5)):
        send("seats", at=datetime(2026, 8, day, tzinfo=UTC), n=value)
    process()
    start, end = datetime(2026, 7, 31, 18, 30, tzinfo=UTC), datetime(2026, 8, 31, 18, 30, tzinfo=UTC)
    assert usage(customer.pk, seats, start, end).value == Decimal("19.50605")


def test_a_cumulative_weighted_sum_starts_at_the_previous_level():
    customer = make_customer(external_id="acme")
    seats = make_feature(event_name="seats", aggregation="weighted_sum", field="n", reset="cumulative")
    send("seats", at=NOON - timedelta(days=90), n=10)
    send("seats", at=minutes(30), n=4)
    process()
    assert usage(customer.pk, seats, minutes(0), minutes(60)).value == 12


def test_of_events_at_the_same_time_the_later_arrival_is_the_latest():
    customer = make_customer(external_id="acme")
    level = make_feature(event_name="level", aggregation="latest", field="v")
    for at, value in ((20, 7), (10, 1), (20, 8)):
        send("level", at=minutes(at), v=value)
    process()
    send("level", at=minutes(15), v=99)
    process()
    assert usage(customer.pk, level, minutes(0), minutes(60)).value == 8
    assert usage(customer.pk, level, minutes(0), minutes(20)).value == 99


def test_a_value_in_many_hours_is_one_unique_value():
    customer = make_customer(external_id="acme")
    users = make_feature(event_name="active", aggregation="unique_count", field="user")
    for at, user in ((0, "a"), (70, "a"), (130, "b"), (150, "c")):
        send("active", at=minutes(at), user=user)
    process()
    assert usage(customer.pk, users, minutes(0), minutes(180)).value == 3
    assert usage(customer.pk, users, minutes(0), minutes(140)).value == 2


def test_many_usages_cost_a_fixed_number_of_queries(django_assert_num_queries):
    customers = [make_customer() for _ in range(20)]
    calls, users = make_feature(), make_feature(aggregation="unique_count", field="user")
    for customer in customers:
        send("api.calls", customer=customer.external_id, user="a")
    process()
    requests = [
        UsageRequest(customer.pk, feature.pk, minutes(0), minutes(60))
        for customer in customers
        for feature in (calls, users)
    ]
    with django_assert_num_queries(3):
        quantities = usage_many(requests)
    assert [quantity.value for quantity in quantities] == [1] * 40


def test_a_quantity_identifies_its_events():
    customer, calls = make_customer(external_id="acme"), make_feature()
    for at in (0, 30, 70):
        send(at=minutes(at))
    process()
    whole = usage(customer.pk, calls, minutes(0), minutes(120))
    parts = [usage(customer.pk, calls, minutes(a), minutes(b)) for a, b in ((0, 10), (10, 45), (45, 120))]
    assert whole.events == 3
    assert whole.checksum == parts[0].checksum ^ parts[1].checksum ^ parts[2].checksum != 0


def test_event_values_are_in_order_of_time():
    customer, tokens = make_customer(external_id="acme"), make_feature(event_name="pay", field="amount")
    for at, value in ((30, 3), (10, Decimal("1.5")), (50, 9)):
        send("pay", at=minutes(at), amount=value)
    process()
    assert list(event_values(customer.pk, tokens, minutes(0), minutes(50))) == [Decimal("1.5"), 3]


METERS = [
    slow_model.Meter("use", "count"),
    slow_model.Meter("use", "sum", "v"),
    slow_model.Meter("use", "sum", "v", filters={"kind": ["x", "1"]}, accept_numeric_strings=True),
    slow_model.Meter("use", "max", "v", accept_numeric_strings=True),
    slow_model.Meter("use", "min", "v"),
    slow_model.Meter("use", "latest", "v"),
    slow_model.Meter("use", "average", "v"),
    slow_model.Meter("use", "unique_count", "v"),
    slow_model.Meter("use", "unique_count", "kind", counts_from=NOON + timedelta(minutes=90)),
    slow_model.Meter("use", "sum_with_multiplier", "v", multiplier=Decimal("0.25")),
    slow_model.Meter("use", "weighted_sum", "v"),
]

values = st.one_of(
    st.integers(-1000, 1000),
    st.decimals(-100, 100, places=3),
    st.sampled_from(["12", "-0.5", "word", True, None]),
)
moments = st.one_of(
    st.integers(0, 240 * 60).map(lambda seconds: NOON + timedelta(seconds=seconds)),
    st.integers(0, 80).map(lambda hours: NOON + timedelta(hours=hours)),
)
sent_events = st.builds(
    slow_model.Sent,
    event_id=st.integers(1, 30).map("id-{}".format),
    event_name=st.sampled_from(["use", "use", "use", "other"]),
    customer=st.sampled_from(["acme", "beta", "nobody"]),
    occurred_at=moments,
    properties=st.fixed_dictionaries({}, optional={"v": values, "kind": st.sampled_from(["x", "y", 1, 2])}),
)


class AnyOrderSplitAndLateness(TestCase):
    """Usage equals the slow model, whatever the order, batches, duplicates and delays of the events."""

    def setUp(self):
        self.customers = {name: make_customer(external_id=name) for name in ("acme", "beta")}
        self.features = [make_feature(**vars(meter)) for meter in METERS]

    @settings(max_examples=60, deadline=None)
    @given(batches=st.lists(st.lists(sent_events, max_size=12), min_size=1, max_size=4), data=st.data())
    def test_usage_is_what_the_slow_model_says(self, batches, data):
        for batch in batches:
            if data.draw(st.booleans()):
                roll_up(now=NOON + timedelta(days=data.draw(st.integers(1, 4))))
            for event in batch:
                send(
                    event.event_name,
                    customer=event.customer,
                    at=event.occurred_at,
                    event_id=event.event_id,
                    **event.properties,
                )
            process(data.draw(st.integers(5, 20)))
        while process().events:
            pass
        everything = [event for batch in batches for event in batch]
        start = data.draw(moments)
        end = start + timedelta(seconds=data.draw(st.integers(1, 240 * 60)), days=data.draw(st.integers(0, 3)))
        for meter, feature in zip(METERS, self.features, strict=True):
            for name, customer in self.customers.items():
                expected = slow_model.usage(meter, everything, name, start, end)
                found = usage(customer.pk, feature, start, end).value
                assert abs(found - expected) < Decimal("1e-20"), (meter, name, found, expected)
        assert list(compare(Scope())) == []


def test_incremental_usage_equals_a_recount():
    make_customer(external_id="acme")
    for meter in METERS:
        make_feature(**vars(meter))
    for no in range(40):
        send("use", at=minutes(no * 7), v=no % 5 - 2, kind=["x", "y", 1, 2][no % 4])
        send("use", at=minutes(no * 3), v="12")
    process(13)
    process()
    assert list(compare(Scope())) == []


def test_rolled_up_days_include_late_events_replays_and_voids():
    customer, tokens = make_customer(external_id="acme"), make_feature(event_name="use", field="v")
    wrong = send("use", at=NOON, v=1000)
    send("use", at=NOON + timedelta(hours=20), v=1)
    process()
    mark = roll_up(now=NOON + timedelta(days=10))
    assert mark == datetime(2026, 3, 18, tzinfo=UTC)
    assert roll_up(now=NOON + timedelta(days=10)) == mark
    month = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    assert usage(customer.pk, tokens, *month).value == 1001
    send("use", at=NOON + timedelta(minutes=5), v=20)
    send("use", at=NOON + timedelta(days=9), v=300)
    process()
    assert usage(customer.pk, tokens, *month).value == 1321
    void_event(ledger(wrong), reason="Wrong", now=NOON)
    assert usage(customer.pk, tokens, *month).value == 321
    assert usage(customer.pk, tokens, NOON, NOON + timedelta(days=2)).value == 21
    assert list(compare(Scope())) == []


def test_a_day_that_differs_from_its_hours_is_found_and_corrected():
    customer, calls = make_customer(external_id="acme"), make_feature()
    send()
    process()
    roll_up(now=NOON + timedelta(days=10))
    UsageDay.objects.update(count=7)
    assert rebuild_usage(Scope(), apply=True, now=NOON).differing == 1
    assert usage(customer.pk, calls, NOON - timedelta(days=2), NOON + timedelta(days=2)).value == 1
