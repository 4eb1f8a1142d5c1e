"""Finding events by properties and time of arrival, and their usage."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from events.ledger.voiding import void_event
from events.models import Event
from events.usage.meter import usage
from events.usage.search import Condition, Operator, Search, find, usage_by, usage_of
from tests.events.senders import NOON, ledger, process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
MONTH = (NOON - timedelta(days=9), NOON + timedelta(days=22))


@pytest.fixture
def acme():
    return make_customer(external_id="acme")


def found(customer, *conditions, **search) -> list[str]:
    """List the ids of the customer's events that meet (property, operator, value) conditions."""
    process()
    conditions = tuple(Condition(name, Operator(operator), value) for name, operator, value in conditions)
    ids = find(customer.pk, Search(conditions, **search))
    by_id = Event.objects.in_bulk(ids)
    return [by_id[pk].event_id for pk in ids]


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("eq", 10, ["number", "text"]),
        ("eq", Decimal("10.0"), ["number", "text"]),
        ("gt", 10, ["big"]),
        ("gte", 10, ["number", "text", "big"]),
        ("gte", "10", ["number", "text", "big"]),
        ("lt", 10, ["small"]),
        ("lte", 10, ["number", "text", "small"]),
        ("lt", Decimal("-2.4"), ["small"]),
        ("contains", "1", ["number", "text", "big"]),
        ("not_contains", "1", ["small", "word", "yes"]),
        ("eq", True, ["yes"]),
    ],
)
def test_a_condition_compares_a_property(acme, operator, value, expected):
    sent = {"number": 10, "text": "10", "big": 11, "small": Decimal("-2.5"), "word": "ten", "yes": True, "none": None}
    for name, size in sent.items():
        send(event_id=name, size=size)
    send(event_id="missing")
    assert found(acme, ("size", operator, value)) == expected


@pytest.mark.parametrize("sign", ["_", "%", "\\", "'", '"', "{chosen}", "%s"])
def test_there_are_no_wildcards(acme, sign):
    send(event_id="same", path=f"a{sign}b")
    send(event_id="other", path="axb")
    assert found(acme, ("path", "contains", sign)) == ["same"]


def test_all_conditions_must_hold_and_dots_make_a_path(acme):
    send(event_id="both", llm={"model": "small", "tokens": 7})
    send(event_id="one", llm={"model": "small", "tokens": 3})
    dotted: dict[str, Any] = {"llm.model": "small", "llm.tokens": 8}
    send(event_id="key", **dotted)
    assert found(acme, ("llm.model", "eq", "small"), ("llm.tokens", "gt", 5)) == ["both", "key"]


def test_an_unknown_operator_is_refused():
    with pytest.raises(ValueError, match="like"):
        Condition("model", Operator("like"), "small")


def test_an_event_is_excluded_by_any_object_that_it_matches(acme):
    send(event_id="paris", city="paris", country="france")
    send(event_id="caen", city="caen", country="france")
    send(event_id="london", city="london", country="uk")
    send(event_id="new london", city="london", country="us")
    send(event_id="nowhere")
    unwanted = ({"city": ["caen"]}, {"city": ["london", "leeds"], "country": ["uk"]})
    assert found(acme, exclude=unwanted) == ["paris", "new london", "nowhere"]
    assert found(acme, include={"country": ["france", "us"]}, exclude=unwanted) == ["paris", "new london"]


def test_the_time_of_arrival_includes_its_start_and_excludes_its_end(acme):
    for minutes in (0, 30, 60):
        send(event_id=f"{minutes}", at=NOON, received_at=NOON + timedelta(minutes=minutes))
    half, whole = NOON + timedelta(minutes=30), NOON + timedelta(minutes=60)
    assert found(acme, received_before=half) == ["0"]
    assert found(acme, received_from=half) == ["30", "60"]
    assert found(acme, received_from=half, received_before=whole) == ["30"]


def test_only_the_customers_events_in_the_window_are_found(acme):
    for event_id, at in (("before", NOON - HOUR), ("first", NOON), ("end", NOON + HOUR)):
        send(event_id=event_id, at=at)
    send(event_id="other", customer="other")
    process()
    assert find(acme.pk, Search(), start=NOON, end=NOON + HOUR) == [ledger("first").pk]
    assert len(find(acme.pk, Search(), limit=2)) == 2


def test_usage_of_a_search_counts_only_what_the_feature_counts(acme):
    tokens = make_feature(event_name="model.usage", field="tokens")
    send("model.usage", tokens=5, model="small")
    send("model.usage", tokens="7", model="small")
    send("model.usage", tokens=11, model="large")
    send("other", tokens=13, model="small")
    wrong = send("model.usage", tokens=17, model="small")
    process()
    void_event(ledger(wrong), reason="Wrong", now=NOON)
    small = usage_of(acme.pk, tokens, *MONTH, Search((Condition("model", Operator.EQUAL, "small"),)))
    assert (small.value, small.events) == (Decimal(5), 1)
    assert usage_of(acme.pk, tokens, *MONTH, Search(include={"model": ["none"]})).value == 0
    assert usage_of(acme.pk, tokens, *MONTH, Search()) == usage(acme.pk, tokens, *MONTH)


def test_groups_are_sorted_and_missing_values_come_last(acme):
    tokens = make_feature(event_name="model.usage", field="tokens")
    for model, tier, count in (("small", 2, 1), ("large", 1, 2), ("small", 1, 4), ("small", 2, 8)):
        send("model.usage", tokens=count, model=model, tier=tier)
    send("model.usage", tokens=16, tier=1)
    process()
    groups = usage_by(acme.pk, tokens, *MONTH, properties=["model", "tier"])
    assert [(*key, str(used.value), used.events) for key, used in groups.items()] == [
        ("large", "1", "2", 1),
        ("small", "1", "4", 1),
        ("small", "2", "9", 2),
        (None, "1", "16", 1),
    ]


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [("max", (9, 4)), ("latest", (3, 4)), ("average", (6, 3)), ("unique_count", (2, 2)), ("min", (3, 2))],
)
def test_each_group_is_aggregated_separately(acme, aggregation, expected):
    feature = make_feature(event_name="level", aggregation=aggregation, field="v")
    for minute, value, region in ((0, 9, "eu"), (1, 2, "us"), (2, 3, "eu"), (3, 4, "us")):
        send("level", at=NOON + timedelta(minutes=minute), v=value, region=region)
    process()
    groups = usage_by(acme.pk, feature, *MONTH, properties=["region"])
    assert tuple(used.value for used in groups.values()) == expected


def test_each_group_of_a_weighted_sum_has_its_own_level(acme):
    """In a two-hour window, eu has 10 from before and 4 more for half of it; us has 6 for a quarter."""
    seats = make_feature(event_name="seats", aggregation="weighted_sum", field="n", reset="cumulative")
    send("seats", at=NOON - timedelta(days=90), n=10, region="eu")
    send("seats", at=NOON + HOUR, n=4, region="eu")
    send("seats", at=NOON + 1.5 * HOUR, n=6, region="us")
    process()
    groups = usage_by(acme.pk, seats, NOON, NOON + 2 * HOUR, properties=["region"])
    assert {key: used.value for key, used in groups.items()} == {("eu",): 12, ("us",): Decimal("1.5")}
    assert usage_of(acme.pk, seats, NOON, NOON + 2 * HOUR, Search()).value == Decimal("13.5")


def test_a_cumulative_feature_counts_its_groups_from_the_beginning(acme):
    stored = make_feature(event_name="storage", field="gb", reset="cumulative")
    for days, value in ((-400, 5), (0, 3)):
        send("storage", at=NOON + timedelta(days=days), gb=value, region="eu")
    process()
    assert usage_by(acme.pk, stored, *MONTH, properties=["region"])[("eu",)].value == 8
