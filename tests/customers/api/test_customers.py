"""Customers through the API."""

import pytest

from customers.models import Customer
from events.ledger.processing import process_batch
from events.ledger.replaying import Replayed
from events.models import Event, EventState
from tests.api import Api
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
ACME = {
    "external_id": "acme", "name": "Acme Ltd", "email": "billing@acme.test", "timezone": "Europe/Berlin",
    "billing_currency": "eur", "address_country": "de", "metadata": {"tier": "gold"},
}  # fmt: skip


@pytest.fixture
def acme(api: Api):
    return api.post("customers", ACME, status=201)


def test_a_customer_is_created_and_retrieved_by_either_id(api, acme):
    assert acme["id"].startswith("cust_")
    assert (acme["billing_currency"], acme["address_country"], acme["status"]) == ("EUR", "DE", "published")
    assert acme["metadata"] == {"tier": "gold"}
    assert api.get(f"customers/{acme['id']}") == acme
    assert api.get("customers/external/acme") == acme
    assert api.get("customers/cust_none", status=404)["message"] == "There is no customer “cust_none”."
    api.get("customers/external/nobody", status=404)


def test_an_external_id_with_a_slash_is_found(api):
    api.post("customers", ACME | {"external_id": "a/b entitlements"}, status=201)
    assert api.get("customers/external/a/b entitlements")["external_id"] == "a/b entitlements"


def test_an_external_id_is_unique(api, acme):
    assert api.post("customers", ACME, status=409)["code"] == "already_exists"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"external_id": None}, "external_id"),
        ({"name": ""}, "name"),
        ({"email": "acme"}, "email"),
        ({"contact": "x" * 21}, "contact"),
        ({"address_country": "Germany"}, "address_country"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"billing_currency": "EURO"}, "billing_currency"),
        ({"tax_treatment": "never"}, "tax_treatment"),
        ({"metadata": ["a"]}, "metadata"),
        ({"parent_customer_id": "cust_1"}, "parent_customer_id"),
    ],
)
def test_an_invalid_customer_is_refused_by_field(api, change, field):
    assert field in api.post("customers", ACME | change, status=400)["details"]
    assert not Customer.objects.exists()


def test_a_customer_is_updated_by_either_id(api, acme):
    assert api.put(f"customers?id={acme['id']}", {"name": "Acme SE"})["name"] == "Acme SE"
    assert api.put("customers?external_customer_id=acme", {"metadata": {"a": "1"}})["metadata"] == {"a": "1"}
    assert api.put(f"customers/{acme['id']}", {"contact": "+49 30 1"})["contact"] == "+49 30 1"
    assert api.put("customers", {"name": "?"}, status=400)["details"]["id"]
    refused = api.put(f"customers/{acme['id']}", {"external_id": "other"}, status=400)
    assert refused["code"] == "invalid_operation"


def test_a_customer_is_archived_unless_a_subscription_is_live(api, acme):
    api.delete(f"customers/{acme['id']}", status=204)
    assert api.get(f"customers/{acme['id']}")["status"] == "archived"
    subscribed = make_subscription().customer
    refused = api.delete(f"customers/{subscribed.public_id}", status=400)
    assert refused["code"] == "invalid_operation"
    assert "Cancel first" in refused["message"]


def test_customers_are_listed_newest_first_and_searched_by_the_same_filters(api, acme):
    other = make_customer(external_id="other", name="Other", email="X@other.test")
    assert [item["external_id"] for item in api.get("customers")["items"]] == ["other", "acme"]
    assert [item["id"] for item in api.get("customers", email="x@OTHER.test")["items"]] == [other.public_id]
    body = {"external_ids": ["acme", "nobody"], "limit": 5, "offset": 0}
    found = api.post("customers/search", body)
    assert ([item["id"] for item in found["items"]], found["pagination"]["total"]) == ([acme["id"]], 1)
    assert api.post("customers/search", {"customer_ids": [other.public_id]})["items"][0]["name"] == "Other"
    assert (
        "filters[0].operator" in api.post("customers/search", {"filters": [{"field": "name"}]}, status=400)["details"]
    )


def test_a_list_of_customers_takes_two_queries(api, django_assert_num_queries):
    for _ in range(3):
        make_customer()
    api.get("customers", limit=1)
    with django_assert_num_queries(2):
        api.get("customers")


def test_events_sent_before_the_customer_was_created_are_counted(api):
    make_feature(event_name="tokens.used")
    api.post("events", {"event_name": "tokens.used", "external_customer_id": "acme"}, status=202)
    process_batch()
    api.post("customers", ACME, status=201)
    cause = {"cause": {"reason": "unknown_customer", "external_customer_id": "acme"}}
    assert api.post("problems/replay", cause)["closed"] == Replayed(closed=1).closed
    assert Event.objects.get().state == EventState.COUNTED


def test_entitlements_of_live_subscriptions_add_up(api, acme):
    feature = make_feature(name="Tokens")
    customer = Customer.objects.get()
    for units in (1000, 500):
        version = make_version({"feature": feature}, free_units={feature: units}, name=f"Plan {units}")
        make_subscription(customer=customer, plan=version)
    found = api.get(f"customers/{acme['id']}/entitlements")
    (granted,) = found["features"]
    assert (granted["feature"]["name"], granted["entitlement"]["usage_limit"]) == ("Tokens", 1500)
    assert sorted(source["usage_limit"] for source in granted["sources"]) == [500, 1000]
    assert api.get("customers/external/acme/entitlements") == found
    assert len(api.get("customers/external/acme/subscriptions")["items"]) == 2
    assert api.get(f"customers/{acme['id']}/entitlements", feature_ids="feat_none")["features"] == []


def test_changing_customers_requires_the_customers_scope(api, acme):
    reader = Api("read", "catalog:write")
    assert "customers:write" in reader.delete(f"customers/{acme['id']}", status=403)["message"]
    assert reader.post("customers/search", {})["pagination"]["total"] == 1


def test_the_external_id_of_an_archived_customer_says_how_to_activate_it(api):
    made = api.post("customers", {"external_id": "acme", "name": "Acme"}, status=201)
    api.delete(f"customers/{made['id']}", status=204)
    refused = api.post("customers", {"external_id": "acme", "name": "Acme again"}, status=409)
    assert f"POST /v1/customers/{made['id']}/activate" in refused["message"]
    assert api.post(f"customers/{made['id']}/activate")["status"] == "published"
    assert api.post(f"customers/{made['id']}/activate")["status"] == "published"
    assert "activate" not in api.post("customers", {"external_id": "acme", "name": "Acme again"}, 409)["message"]
    api.post("customers/cust_none/activate", status=404)
