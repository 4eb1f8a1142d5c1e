"""Line items, phases, pauses and aliases through the API."""

import pytest

from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db


def test_line_items_are_found_by_subscription_customer_price_and_meter(api):
    calls, files = make_feature(name="Calls"), make_feature(name="Files", event_name="files.stored")
    customer = make_customer(external_id="acme")
    subscription = make_subscription(customer=customer, plan=make_version({"feature": calls}, {"feature": files}))
    make_subscription(plan=make_version({"feature": calls}))

    def search(**query):
        return api.post("subscriptions/lineitems/search", query)

    found = search(subscription_ids=[subscription.public_id])
    assert found["pagination"] == {"total": 2, "limit": 50, "offset": 0}
    first, second = found["items"]
    assert search(customer_ids=[customer.public_id], meter_ids=[files.public_id])["items"] == [second]
    assert search(customer_ids=[customer.public_id], limit=1, offset=1)["items"] == [second]
    assert search(customer_ids=[customer.public_id], price_ids=[first["price_id"]])["items"] == [first]
    assert search(customer_ids=[customer.public_id], subscription_line_item_ids=[first["id"]])["items"] == [first]
    assert "subscription_ids" in api.post("subscriptions/lineitems/search", {}, 400)["details"]


def test_pauses_and_phases_are_listed(api):
    subscription = make_subscription()
    address = f"subscriptions/{subscription.public_id}"
    assert api.get(f"{address}/pauses") == {"items": []}
    api.post(f"{address}/pause", {"reason": "Holiday"})
    [pause] = api.get(f"{address}/pauses")["items"]
    assert (pause["pause_status"], pause["pause_end"], pause["reason"]) == ("active", None, "Holiday")
    whole = api.get(f"{address}/v2")
    assert [phase["kind"] for phase in whole["phases"]] == ["active", "paused"]
    assert whole["pauses"] == [pause]
    assert whole["id"] == subscription.public_id
    api.get("subscriptions/subs_none/v2", 404)


def test_a_wrong_external_id_is_mapped_to_a_customer(api):
    acme, other = make_customer(external_id="acme"), make_customer(external_id="other")
    mapping = {"alias": "ACME Ltd", "customer_id": acme.public_id, "reason": "Old app"}
    assert api.post("customers/aliases", mapping)["external_customer_id"] == "acme"
    moved = api.post("customers/aliases", mapping | {"customer_id": other.public_id})
    assert moved["external_customer_id"] == "other"
    assert [row["alias"] for row in api.get("customers/aliases", external_customer_id="other")["items"]] == ["ACME Ltd"]
    api.post("customers/aliases", {"alias": "acme", "customer_id": other.public_id}, 400)
