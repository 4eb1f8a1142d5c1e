"""Searches take conditions on fields of the list, and lists are sorted: both as the public contract writes them."""

import pytest

from tests.factories import make_customer

pytestmark = pytest.mark.django_db


@pytest.fixture
def customers(api):
    make_customer(external_id="acme", name="Acme Ltd", email="billing@acme.test")
    make_customer(external_id="globex", name="Globex", email="")
    return api


def condition(field, operator, **value):
    (kind,) = value
    return {"field": field, "operator": operator, "data_type": kind, "value": value}


def found(api, *conditions, **body):
    items = api.post("customers/search", {"filters": list(conditions), **body})["items"]
    return [item["external_id"] for item in items]


@pytest.mark.parametrize(
    ("sent", "matching"),
    [
        (condition("external_id", "eq", string="acme"), ["acme"]),
        (condition("name", "contains", string="LTD"), ["acme"]),
        (condition("name", "not_contains", string="ltd"), ["globex"]),
        (condition("external_id", "in", array=["acme", "nobody"]), ["acme"]),
        (condition("external_id", "not_in", array=["acme"]), ["globex"]),
        (condition("created_at", "after", date="2020-01-01T00:00:00Z"), ["globex", "acme"]),
        (condition("created_at", "before", date="2020-01-01T00:00:00Z"), []),
    ],
)
def test_a_condition_selects_customers(customers, sent, matching):
    assert found(customers, sent) == matching


def test_all_conditions_must_match(customers):
    after = condition("created_at", "gte", date="2020-01-01T00:00:00Z")
    assert found(customers, condition("name", "contains", string="l"), after) == ["globex", "acme"]
    assert found(customers, condition("name", "contains", string="glo"), after) == ["globex"]


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (condition("color", "eq", string="red"), "filters[0].field"),
        (condition("name", "gt", string="a"), "filters[0].operator"),
        (condition("name", "like", string="a"), "filters[0].operator"),
        (condition("created_at", "before", date="yesterday"), "filters[0].value"),
        ({"field": "name", "operator": "eq", "data_type": "number", "value": {"string": "a"}}, "filters[0].value"),
        ({"field": "name", "operator": "eq", "value": {}}, "filters[0].value"),
        ({"field": "name", "operator": "eq", "value": {"text": "a"}}, "filters[0].value.text"),
        ({"name": "name", "operator": "eq", "value": {"string": "a"}}, "filters[0].name"),
        ("name", "filters[0]"),
    ],
)
def test_a_condition_that_can_not_be_used_is_refused_by_its_path(api, sent, field):
    assert field in api.post("customers/search", {"filters": [sent]}, status=400)["details"]


def test_amounts_and_statuses_are_compared_by_their_values_in_the_api(api):
    assert api.post("invoices/search", {"filters": [condition("currency", "eq", string="USD")]})["items"] == []
    wrong = api.post("coupons/search", {"filters": [condition("created_at", "eq", number=1)]}, status=400)
    assert "filters[0].value" in wrong["details"]


def test_customers_are_searched_by_metadata(api):
    make_customer(external_id="acme", metadata={"tier": "gold", "region": "eu"})
    make_customer(external_id="globex", metadata={"tier": "silver"})
    assert found(api, metadata={"tier": "gold"}) == ["acme"]
    assert found(api, metadata={"tier": "gold", "region": "us"}) == []


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ({}, ["globex", "acme"]),
        ({"order": "asc"}, ["acme", "globex"]),
        ({"sort": "name", "order": "asc"}, ["acme", "globex"]),
        ({"sort": "name"}, ["globex", "acme"]),
    ],
)
def test_a_list_is_sorted_by_query(customers, query, order):
    assert [item["external_id"] for item in customers.get("customers", **query)["items"]] == order
    assert found(customers, **query) == order


@pytest.mark.parametrize("query", [{"sort": "color"}, {"order": "up"}, {"expand": "color"}, {"status": "lost"}])
def test_an_unknown_value_of_sort_order_expand_or_status_is_refused(api, query):
    assert set(api.get("customers?" + "&".join(f"{k}={v}" for k, v in query.items()), status=400)["details"]) == set(
        query
    )
