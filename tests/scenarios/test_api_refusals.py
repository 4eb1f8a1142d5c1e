"""Every endpoint refuses in one form: wrong keys, missing scopes, rate limits, unknown objects and invalid requests."""

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from events.access.keys import clear_key_cache, make_key, rotate
from events.models import Scope
from tests.api import check_error
from tests.process_state import clear_rate_counts
from tests.scenarios.schema import get_example, list_operations

pytestmark = pytest.mark.django_db
ENDPOINTS = list_operations()


def ask(client, path, method, operation, body=None):
    for parameter in operation.get("parameters", []):
        if parameter.get("in") == "path":
            path = path.replace(f"{{{parameter['name']}}}", "none")
    if body is None and "requestBody" in operation:
        body = json.dumps(get_example(operation))
    options = {"content_type": "application/json"} if body is not None else {"content_type": ""}
    return client.generic(method.upper(), path, body or "", **options)


def client_with(*scopes, **limits):
    return Client(headers={"x-api-key": make_key("Test", scopes=scopes, **limits)[1]})


def check(answer, status, code, where):
    assert answer.status_code == status, (where, answer.content.decode())
    assert answer.headers["content-type"] == "application/json", where
    body = answer.json()
    check_error(body, status)
    assert body["code"] == code, where
    assert isinstance(body["details"], dict), where
    return body


@pytest.mark.parametrize("key", ["", "sk_wrong", "sk_" + "x" * 43])
def test_every_endpoint_answers_401_without_a_known_key(key):
    client = Client(headers={"x-api-key": key} if key else {})
    for path, method, operation in ENDPOINTS:
        answer = ask(client, path, method, operation)
        check(answer, 401, "unauthorized", (method, path))
        assert answer.headers["www-authenticate"] == "x-api-key", (method, path)


def test_every_endpoint_answers_403_without_the_scope():
    """A key that may only send events reads nothing; one that may only read changes nothing."""
    sender, reader = client_with(Scope.EVENTS_WRITE), client_with(Scope.READ)
    for path, method, operation in ENDPOINTS:
        if (path, method) not in (("/v1/events", "post"), ("/v1/events/bulk", "post")):
            body = check(ask(sender, path, method, operation), 403, "permission_denied", (method, path))
            assert body["message"].startswith("The API key lacks the scope "), (method, path)
        if "Idempotency-Key" in json.dumps(operation) or "IdempotencyKey" in json.dumps(operation):
            check(ask(reader, path, method, operation), 403, "permission_denied", (method, path))


def test_every_endpoint_answers_429_over_the_rate_limit():
    client = client_with(Scope.ALL, single_per_minute=1, bulk_per_minute=1)
    for path, method, operation in ENDPOINTS:
        clear_rate_counts()
        for _ in range(3):  # a third, because a new minute may begin before the second
            answer = ask(client, path, method, operation)
        check(answer, 429, "too_many_requests", (method, path))
        assert 1 <= int(answer.headers["retry-after"]) <= 60, (method, path)
        assert (answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]) == ("1", "0")


def test_an_unknown_object_in_the_path_is_404():
    client = client_with(Scope.ALL, single_per_minute=0)
    for path, method, operation in ENDPOINTS:
        if "{" in path and "404" in operation["responses"] and "/statement" not in path:
            body = check(ask(client, path, method, operation), 404, "not_found", (method, path))
            assert body["message"].startswith("There is no "), (method, path)
    check(client.get("/v1/no/such/path"), 404, "not_found", "nowhere")


def test_an_unsupported_method_of_an_endpoint_is_405():
    client = client_with(Scope.ALL, single_per_minute=0)
    for path in {path for path, _, _ in ENDPOINTS}:
        answer = client.generic("PATCH", path.replace("{", "").replace("}", ""), "{}", content_type="application/json")
        check(answer, 405, "method_not_allowed", path)


@pytest.mark.parametrize("body", ["{", "[]", '"text"', '{"a": NaN}', b"\xff"])
def test_a_body_that_is_not_a_json_object_is_400(body):
    client = client_with(Scope.ALL, single_per_minute=0, bulk_per_minute=0)
    for path, method, operation in ENDPOINTS:
        if "requestBody" in operation and "{" not in path and "?" not in path:
            answer = ask(client, path, method, operation, body)
            if body != "[]":  # an empty list is as good as no body
                check(answer, 400, "validation_error", (method, path))
            assert answer.status_code < 500, (method, path)


def test_an_expired_key_stops_working_and_its_successor_continues():
    key, secret = make_key("Shop", scopes=[Scope.READ])
    old = Client(headers={"x-api-key": secret})
    successor, fresh = rotate(key, now=timezone.now(), overlap=timedelta(hours=1))
    new = Client(headers={"x-api-key": fresh})
    assert (old.get("/v1/plans").status_code, new.get("/v1/plans").status_code) == (200, 200)
    type(key).objects.filter(pk=key.pk).update(expires_at=timezone.now())
    clear_key_cache()
    body = check(old.get("/v1/plans"), 401, "unauthorized", "the old key")
    assert "expired on" in body["message"]
    assert new.get("/v1/plans").status_code == 200
    assert successor.scopes == [Scope.READ]
    check(new.post("/v1/plans", {"name": "No"}, content_type="application/json"), 403, "permission_denied", "its scope")


@pytest.mark.parametrize("day", [20261399, 99991231, 144115188075855873, -20261231])
def test_credit_that_expires_on_no_day_is_refused(api, day):
    api.post("customers", {"external_id": "acme", "name": "Acme"}, status=201)
    body = {"external_customer_id": "acme", "currency": "USD", "initial_credits_to_load_expiry_date": day}
    refused = api.post("wallets", body | {"initial_credits_to_load": "1"}, status=400)
    assert refused["details"] == {"non_field_errors": ["Enter a day as YYYYMMDD, for example 20261231."]}
