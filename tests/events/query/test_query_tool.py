"""The Query tool: windows, groups, explanations and recounts."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from customers.models import Customer
from customers.periods import Period
from events.models import UsageBucket
from events.query.answer import answer
from events.query.request import QueryRefused, read_query
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature, make_subscription

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def acme() -> Customer:
    return make_customer(external_id="acme", name="Acme")


@pytest.fixture
def tokens():
    return make_feature(name="Tokens", event_name="model.usage", field="tokens")


def ask(feature, *customers: str, now=NOON + HOUR, **given: object):
    return read_query({"feature": str(feature.pk)} | {k: str(v) for k, v in given.items()}, customers, now=now)


def rows(found) -> list[tuple[str, Decimal, int]]:
    return [(row.label, row.quantity, row.events) for row in found.rows]


def test_billing_periods_are_those_of_the_subscription(acme, tokens):
    make_subscription(customer=acme, starts_at=NOON.replace(month=1, day=15))
    current = ask(tokens, "acme", window="current").period
    assert (current.start, current.end) == (NOON.replace(month=2, day=15), NOON.replace(month=3, day=15))
    assert ask(tokens, "acme", window="last").period.end == current.start
    with pytest.raises(QueryRefused, match="started later"):
        ask(tokens, "acme", window="before")


def test_a_window_is_exact_to_the_second_and_includes_its_start(acme, tokens):
    for seconds, value in ((0, 1), (1, 10), (60, 100)):
        send("model.usage", at=NOON + timedelta(seconds=seconds), tokens=value)
    process()
    query = ask(tokens, "acme", window="custom", start="2026-03-10T12:00:01", end="2026-03-10T12:01:00", timezone="UTC")
    found = answer(query, recount=True)
    assert (found.total, found.events) == (10, 1)
    assert (found.recount.quantity, found.recount.agrees) == (10, True)


def test_local_days_follow_daylight_saving_time(acme, tokens):
    # In Berlin 29 March 2026 has 23 hours: midnight is 23:00 UTC before and 22:00 UTC after.
    for at in ("2026-03-28T22:59", "2026-03-28T23:00", "2026-03-29T21:59", "2026-03-29T22:00"):
        send("model.usage", at=NOON.fromisoformat(f"{at}:00+00:00"), tokens=1)
    process()
    given = {"window": "custom", "start": "2026-03-28T00:00", "end": "2026-03-31T00:00", "timezone": "Europe/Berlin"}
    found = answer(ask(tokens, "acme", **given, group="day"))
    assert rows(found) == [("2026-03-28", 1, 1), ("2026-03-29", 2, 2), ("2026-03-30", 1, 1)]


def test_hours_weeks_and_months_cover_the_window(acme, tokens):
    for days in (0, 1, 7, 40):
        send("model.usage", at=NOON + timedelta(days=days), tokens=2)
    process()
    given = {"window": "custom", "start": "2026-03-01T00:00", "end": "2026-05-01T00:00", "timezone": "UTC"}
    by_month = answer(ask(tokens, "acme", **given, group="month"))
    assert rows(by_month) == [("2026-03", 6, 3), ("2026-04", 2, 1)]
    for group in ("hour", "week", "day"):
        if group == "hour":
            given |= {"end": "2026-03-20T00:00"}
        found = answer(ask(tokens, "acme", **given, group=group))
        assert sum(row.quantity for row in found.rows) == found.total
        given |= {"end": "2026-05-01T00:00"}


def test_groups_by_property_add_up_to_the_total(acme, tokens):
    for model, value in (("gpt-4", 5), ("gpt-4", 6), ("claude", 7), (3, 1), (None, 2)):
        send("model.usage", tokens=value, **({} if model is None else {"model": model}))
    process()
    found = answer(ask(tokens, "acme", window="month", group="property", property="model"))
    assert rows(found) == [("gpt-4", 11, 2), ("3", 1, 1), ("claude", 7, 1), ("not sent", 2, 1)]
    assert sum(row.quantity for row in found.rows) == found.total == 21


def test_several_customers_add_up_and_none_means_all(acme, tokens):
    make_customer(external_id="other", name="Other")
    send("model.usage", tokens=5)
    send("model.usage", customer="other", tokens=7)
    process()
    for customers in (("acme", "other"), ()):
        found = answer(ask(tokens, *customers, window="month"))
        assert [(row.label, row.quantity) for row in found.by_customer] == [("Other", 7), ("Acme", 5)]
        assert found.total == 12


def test_maximums_of_several_customers_have_no_total(acme):
    peak = make_feature(name="Peak", event_name="peak", field="n", aggregation="max")
    make_customer(external_id="other")
    send("peak", n=5)
    send("peak", customer="other", n=7)
    process()
    found = answer(ask(peak, window="month"), recount=True)
    assert (found.total, found.recount.quantity, found.recount.agrees) == (None, None, True)


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        *[("sum", "10"), ("max", "5"), ("min", "2"), ("latest", "3"), ("unique_count", "3")],
        ("average", "3.3333333333333333333333333333333333333333333333333"),
        ("count", "3"),
    ],
)
@pytest.mark.parametrize("reset", ["periodic", "cumulative"])
def test_the_recount_agrees_for_every_aggregation(acme, aggregation, expected, reset):
    field = "" if aggregation == "count" else "n"
    feature = make_feature(event_name="x", field=field, aggregation=aggregation, reset=reset)
    for minutes, value in enumerate((2, 5, 3)):
        send("x", at=NOON + timedelta(minutes=minutes), n=value)
    process()
    found = answer(ask(feature, "acme", window="month"), recount=True)
    assert (found.total, found.recount.agrees) == (Decimal(expected), True)


def test_the_recount_reveals_wrong_usage(acme, tokens):
    send("model.usage", tokens=5)
    process()
    UsageBucket.objects.update(total=6)
    found = answer(ask(tokens, "acme", window="month"), recount=True)
    assert (found.total, found.recount.quantity, found.recount.agrees) == (6, 5, False)


def test_a_cumulative_feature_counts_from_the_beginning(acme):
    stored = make_feature(name="Stored", event_name="store", field="gb", reset="cumulative")
    send("store", at=NOON - timedelta(days=60), gb=10)
    send("store", gb=5)
    process()
    found = answer(ask(stored, "acme", window="month", group="month"))
    assert (found.total, found.query.period.start.month) == (15, 3)
    assert "Cumulative: the running total" in " ".join(found.explanation)


def test_the_quantity_is_explained(acme, tokens):
    tokens.filters = {"model": ["gpt-4", "gpt-4o"]}
    tokens.save()
    said = answer(ask(tokens, "acme", window="month")).explanation
    assert said[0] == "Sum of the field “tokens”: the values are added up."
    assert said[1] == "Events named “model.usage”."
    assert said[2] == "Only events where model is gpt-4 or gpt-4o."
    assert said[4] == "From 2026-03-01 00:00 to 2026-04-01 00:00 UTC, excluding the end."


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"window": "current"}, "choose a customer"),
        ({"window": "soon"}, "Choose a window"),
        ({"window": "custom"}, "Enter the window's start and end"),
        ({"window": "custom", "start": "2026-03-02T00:00", "end": "2026-03-01T00:00"}, "end must be after its start"),
        ({"window": "month", "timezone": "Mars/Olympus"}, "not a time zone"),
        ({"window": "month", "group": "property"}, "Enter the property"),
        ({"window": "month", "group": "moon"}, "Choose what to group by"),
    ],
)
def test_an_invalid_query_says_what_to_change(tokens, given, what):
    with pytest.raises(QueryRefused, match=what):
        ask(tokens, **given)


def test_an_unknown_customer_or_feature_is_named(tokens):
    with pytest.raises(QueryRefused, match="“nobody”"):
        ask(tokens, "nobody")
    with pytest.raises(QueryRefused, match="Choose a feature"):
        read_query({}, [], now=NOON)


def test_too_many_groups_are_refused(acme, tokens):
    given = {"window": "custom", "start": "2020-01-01T00:00", "end": "2026-01-01T00:00", "group": "hour"}
    with pytest.raises(QueryRefused, match="too long for this grouping"):
        answer(ask(tokens, "acme", **given))


@pytest.mark.hot
def test_partial_hours_cost_few_queries(acme, tokens, django_assert_max_num_queries):
    send("model.usage", tokens=5)
    process()
    given = {"window": "custom", "start": "2026-03-10T11:30", "end": "2026-03-10T12:30", "timezone": "UTC"}
    with django_assert_max_num_queries(5):
        found = answer(ask(tokens, "acme", **given))
    assert found.query.period == Period(NOON - HOUR / 2, NOON + HOUR / 2)
    assert connection.queries is not None
