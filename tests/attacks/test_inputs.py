"""Numbers, dates and headers that a program would believe and a person wouldn't write."""

import pytest
from auditlog.models import LogEntry
from django.test import Client, override_settings

from events.access.keys import make_key, rotate
from events.models import ApiKey

pytestmark = pytest.mark.django_db
CUSTOMER = {"external_id": "acme", "name": "Acme"}
ITEM = {"display_name": "Work", "quantity": "1"}


def one_off(customer, amount, **body):
    return {
        "customer_id": customer["id"],
        "currency": "USD",
        "invoice_type": "ONE_OFF",
        "amount_due": amount,
        "total": amount,
        "subtotal": amount,
        "line_items": [{"display_name": "Work", "quantity": "1", "amount": amount}],
    } | body


@pytest.mark.parametrize("amount", ["１０", "١٠", "1_0", "१०", "0x10", "NaN", "Infinity", "1e999", " ", "10,00"])
def test_an_amount_is_written_in_ascii_digits(api, amount):
    api.post("customers", CUSTOMER, 201)
    wallet = api.post("wallets", {"external_customer_id": "acme", "currency": "usd"})
    body = {"transaction_reason": "FREE_CREDIT_GRANT", "amount": amount}
    error = api.post(f"wallets/{wallet['id']}/top-up", body, 400)
    assert "amount" in error["details"]
    assert api.get(f"wallets/{wallet['id']}")["balance"] == "0.00"


@pytest.mark.parametrize("amount", ["10000000000000000000000", "99999999999999999999", "1e22", "-1e22"])
def test_a_huge_amount_is_refused_and_named(api, amount):
    customer = api.post("customers", CUSTOMER, 201)
    wallet = api.post("wallets", {"external_customer_id": "acme", "currency": "usd"})
    body = {"transaction_reason": "FREE_CREDIT_GRANT", "amount": amount}
    assert "amount" in api.post(f"wallets/{wallet['id']}/top-up", body, 400)["details"]
    assert api.post("invoices", one_off(customer, amount), 400)["code"] == "validation_error"


def test_a_price_times_a_quantity_that_no_invoice_can_hold_is_refused(api):
    customer = api.post("customers", CUSTOMER, 201)
    item = {"display_name": "Work", "quantity": "1000000000", "unit_amount": "1000000000"}
    error = api.post("invoices", one_off(customer, "1000000000000000", line_items=[item]), 400)
    assert error["message"] == "Item 1 is too large: an amount is at most 1,000,000,000,000,000."


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "2201-01-01", "9999-12-31"])
def test_a_payment_is_received_on_a_day_of_the_calendar(api, day):
    customer = api.post("customers", CUSTOMER, 201)
    invoice = api.post("invoices", one_off(customer, "10"), 201)
    body = {
        "destination_type": "INVOICE", "destination_id": invoice["id"], "payment_method_type": "OFFLINE",
        "amount": "10", "currency": "USD", "received_on": day,
    }  # fmt: skip
    error = api.post("payments", body, 400)
    assert error["details"] == {"received_on": ["Enter a date between 1970 and 2200."]}


def test_an_idempotency_key_with_another_body_is_a_conflict(api):
    customer = api.post("customers", CUSTOMER, 201)
    wallet = api.post("wallets", {"external_customer_id": "acme", "currency": "usd"})
    body = {"transaction_reason": "FREE_CREDIT_GRANT", "amount": "10", "idempotency_key": "gift-1"}
    path = f"wallets/{wallet['id']}/top-up"
    api.post(path, body)
    api.post(path, body)
    error = api.post(path, body | {"amount": "20"}, 409)
    assert error["code"] == "idempotency_key_reused"
    assert api.get(f"wallets/{wallet['id']}")["balance"] == "10.00"
    order = one_off(customer, "10", idempotency_key="order-7")
    assert api.post("invoices", order, 201)["id"] == api.post("invoices", order, 201)["id"]
    changed = one_off(customer, "11", idempotency_key="order-7")
    assert api.post("invoices", changed, 409)["code"] == "idempotency_key_reused"


def test_a_refused_request_leaves_its_key_free_for_the_corrected_one(api):
    customer = api.post("customers", CUSTOMER, 201)
    api.post("invoices", one_off(customer, "10", idempotency_key="order-7", total="99"), 400)
    api.post("invoices", one_off(customer, "10", idempotency_key="order-7"), 201)


def test_a_request_that_is_repeated_after_its_key_was_rotated_isnt_carried_out_twice(db):
    key, secret = make_key("Sync")
    headers = {"Idempotency-Key": "new-acme"}
    old = Client(headers={"x-api-key": secret} | headers)
    answer = old.post("/v1/customers", CUSTOMER, content_type="application/json")
    _, new_secret = rotate(ApiKey.objects.get(pk=key.pk), now=key.created_at)
    new = Client(headers={"x-api-key": new_secret} | headers)
    again = new.post("/v1/customers", CUSTOMER, content_type="application/json")
    assert (answer.status_code, again.status_code) == (201, 201)
    assert again.json() == answer.json()
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "unknown"},
        {"X-Forwarded-For": "1.2.3.4, unknown"},
        {"X-Forwarded-For": "a" * 5000},
        {"X-Forwarded-Port": "99999999999999999999"},
        {"X-Forwarded-Port": "-1"},
        {"x-correlation-id": "x" * 300},
        {"X-Request-Id": "a\tb"},
    ],
)
def test_odd_headers_of_proxies_never_break_a_write(headers):
    client = Client(headers={"x-api-key": make_key("Test")[1]} | headers)
    response = client.post("/v1/customers", CUSTOMER, content_type="application/json")
    assert response.status_code == 201, response.content


@pytest.mark.parametrize(
    ("peer", "chain", "address"),
    [
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9, 127.0.0.1", "203.0.113.9"),
        ("127.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
    ],
)
def test_a_forwarded_address_is_believed_only_from_a_trusted_proxy(peer, chain, address):
    client = Client(headers={"x-api-key": make_key("Test")[1], "X-Forwarded-For": chain}, REMOTE_ADDR=peer)
    client.post("/v1/customers", CUSTOMER, content_type="application/json")
    assert LogEntry.objects.get(content_type__model="customer").remote_addr == address


@override_settings(HTTPS=True, SECURE_SSL_REDIRECT=True, SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"))
def test_a_stranger_cant_claim_to_have_used_https():
    headers = {"X-Forwarded-Proto": "https"}
    assert Client(headers=headers, REMOTE_ADDR="127.0.0.1").get("/admin/login/").status_code == 200
    assert Client(headers=headers, REMOTE_ADDR="198.51.100.7").get("/admin/login/").status_code == 301


def test_a_request_id_links_the_answer_to_its_changes():
    client = Client(headers={"x-api-key": make_key("Test")[1], "X-Request-Id": "job-7"})
    response = client.post("/v1/customers", CUSTOMER, content_type="application/json")
    assert response.headers["X-Request-Id"] == "job-7"
    assert LogEntry.objects.get(content_type__model="customer").cid == "job-7"
    assert len(Client().get("/healthz").headers["X-Request-Id"]) == 32


def test_answers_with_secrets_are_never_stored_by_caches_or_replayed(api):
    headers = {"Idempotency-Key": "hook-1"}
    body = {"url": "https://example.com/hooks"}
    first = api.client.post("/v1/webhooks", body, content_type="application/json", headers=headers)
    again = api.client.post("/v1/webhooks", body, content_type="application/json", headers=headers)
    assert first.json()["secret"].startswith("whsec_")
    assert again.json()["secret"] is None
    assert first.headers["Cache-Control"] == "no-store"


def test_a_filter_has_so_many_properties(api):
    most = {f"p{number}": ["a"] for number in range(20)}
    too_many = most | {"p20": ["a"]}
    for path in ("events/query", "events/analytics"):
        body = {"external_customer_id": "acme"}
        error = api.post(path, body | {"property_filters": too_many}, 400)
        assert error["details"] == {"property_filters": ["Filter by at most 20 properties."]}
    api.post("events/query", {"property_filters": most})
    text = ";".join(f"{name}:a" for name in most)
    api.get("events", property_filters=text)
    error = api.get("events", 400, property_filters=f"{text};p20:a")
    reason = "Use the format model:small,large;region:eu, with at most 20 properties."
    assert error["details"] == {"property_filters": [reason]}


def test_metadata_is_limited(api):
    def post(metadata, status):
        return api.post("customers", CUSTOMER | {"external_id": f"{len(metadata)}", "metadata": metadata}, status)

    post({f"key{number}": "x" * 500 for number in range(50)}, 201)
    error = post({f"key{number}": "x" for number in range(51)}, 400)
    assert error["details"] == {"metadata": ["Metadata has at most 50 keys."]}
    assert "metadata" in str(post({"key": "x" * 501}, 400)["details"])
    assert "metadata" in str(post({"k" * 101: "x"}, 400)["details"])


def test_an_invoice_has_so_many_items_in_one_request(api):
    customer = api.post("customers", CUSTOMER, 201)
    item = {"display_name": "Work", "quantity": "1", "amount": "1"}
    most = one_off(customer, "500", line_items=[item] * 500)
    assert len(api.post("invoices", most, 201)["line_items"]) == 500
    error = api.post("invoices", one_off(customer, "501", line_items=[item] * 501), 400)
    assert error["details"] == {"line_items": ["Ensure this field has no more than 500 elements."]}


def test_a_body_has_one_mebibyte_unless_it_is_a_batch_of_events(api):
    big = "x" * 1024 * 1024
    api.post("customers/search", {"filters": [big]}, 413)
    api.post("invoices", {"description": big}, 413)
    events = [{"event_name": "n", "external_customer_id": "acme", "properties": {"a": "x" * 2000}}] * 1000
    api.post("events/bulk", {"events": events}, 202)
