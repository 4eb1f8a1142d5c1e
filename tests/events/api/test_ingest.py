"""The ingest endpoints over real HTTP, against the web server that a deployment runs."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from config.api.schema import load_schema
from events.access.keys import make_key, revoke
from events.models import Scope
from tests.api import check_error
from tests.web_server import database_url, granian

pytestmark = pytest.mark.django_db  # asks for the database; what the server does there is committed

EVENT = {"event_name": "tokens.used", "external_customer_id": "acme"}
MIB = 1024 * 1024


@dataclass
class Web:
    """The server with a key for it, and a look into its database."""

    base_url: str
    database_url: str
    keys: dict[str, str]
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30, verify=False))

    @property
    def key(self) -> str:
        return self.keys["shop"]

    def post(self, path: str, body: Any, *, key: str | None = None, **headers: str) -> httpx.Response:
        """Post bytes and text as they are, and anything else as JSON."""
        content = body if isinstance(body, (bytes, str)) or hasattr(body, "__next__") else json.dumps(body)
        given = {"x-api-key": self.key if key is None else key, "content-type": "application/json"}
        headers = given | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"{self.base_url}{path}", content=content, headers=headers)

    def ask(self, statement: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.database_url, autocommit=True) as database:
            return database.execute(statement.encode(), values).fetchall()

    def waiting(self) -> int:
        return int(self.ask("SELECT count(*) FROM events_inboxevent")[0][0])


@pytest.fixture(scope="module")
def web(web_server: str, django_db_blocker: Any) -> Iterator[Web]:
    with django_db_blocker.unblock():
        yield Web(web_server, database_url(), make_keys())


def make_keys() -> dict[str, str]:
    revoked, revoked_secret = make_key("Revoked")
    revoke(revoked, now=datetime.now(UTC))
    return {
        "shop": make_key("Shop", scopes=[Scope.EVENTS_WRITE], single_per_minute=0, bulk_per_minute=0)[1],
        "reader": make_key("Reader", scopes=[Scope.READ, Scope.BILLING_WRITE])[1],
        "one a minute": make_key("Slow", single_per_minute=1, bulk_per_minute=1)[1],
        "revoked": revoked_secret,
        "expired": make_key("Expired", expires_at=datetime.now(UTC) - timedelta(seconds=1))[1],
    }


def refusal(response: httpx.Response, status: int) -> dict[str, Any]:
    """Check that a refusal has the standard body, and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body: dict[str, Any] = response.json()
    check_error(body, status)
    return body


def wait_until(condition: Any, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


# --- Accepted -----------------------------------------------------------------------------------------


def test_an_event_is_accepted_and_waits(web):
    response = web.post("/v1/events", EVENT | {"event_id": "single-1", "properties": {"tokens": 3}})
    assert response.status_code == 202
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-length"] == str(len(response.content))
    assert response.json() == {"message": "Event accepted for processing", "event_id": "single-1"}
    assert web.ask("SELECT properties FROM events_inboxevent WHERE event_id = 'single-1'") == [({"tokens": 3},)]


def test_a_missing_id_is_generated_and_returned(web):
    made = web.post("/v1/events", EVENT).json()["event_id"]
    assert made.startswith("event_")
    (row,) = web.ask("SELECT has_timestamp, received_at = occurred_at FROM events_inboxevent WHERE event_id = %s", made)
    assert row == (False, True)


def test_a_batch_is_accepted_with_ids_repeated_or_not(web):
    before = web.waiting()
    response = web.post("/v1/events/bulk", {"events": [EVENT | {"event_id": "twice"}] * 2 + [EVENT] * 998})
    assert response.status_code == 202
    assert response.json() == {"message": "Events accepted for processing"}
    assert web.waiting() == before + 1000


def test_concurrent_requests_are_all_stored(web):
    before = web.waiting()
    answers = []

    def send(number: int) -> None:
        for turn in range(10):
            answers.append(web.post("/v1/events", EVENT | {"event_id": f"side-{number}-{turn}"}).status_code)
            answers.append(web.post("/v1/events/bulk", {"events": [EVENT] * 30}).status_code)

    threads = [threading.Thread(target=send, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [202] * 120
    assert web.waiting() == before + 6 * 10 * 31
    assert web.ask("SELECT count(DISTINCT event_id) FROM events_inboxevent WHERE event_id LIKE 'side-%%'") == [(60,)]


def test_numbers_and_strings_are_stored_as_sent(web):
    body = '{"event_name": "a", "external_customer_id": "b", "event_id": "%s", "properties": {"n": %s}}'
    web.post("/v1/events", body % ("number", "12345678901234567890.10"))
    web.post("/v1/events", body % ("string", '"1000"'))
    rows = web.ask(
        "SELECT event_id, properties::text FROM events_inboxevent WHERE event_id IN ('number', 'string') ORDER BY 1"
    )
    assert rows == [("number", '{"n": 12345678901234567890.10}'), ("string", '{"n": "1000"}')]


def test_the_content_type_does_not_matter(web):
    for content_type in ("application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8"):
        assert web.post("/v1/events", EVENT, content_type=content_type).status_code == 202


def test_a_chunked_body_is_accepted(web):
    content = json.dumps({"events": [EVENT | {"event_id": "chunked"}] * 500}).encode()
    parts = iter([content[start : start + 1000] for start in range(0, len(content), 1000)])
    assert web.post("/v1/events/bulk", parts).status_code == 202
    assert web.ask("SELECT count(*) FROM events_inboxevent WHERE event_id = 'chunked'") == [(500,)]


# --- Refused ------------------------------------------------------------------------------------------


def with_properties(text: str) -> str:
    return json.dumps(EVENT)[:-1] + f', "properties": {text}}}'


BAD_EVENTS = {
    "empty": ("", "body"),
    "not JSON": ("not json", "body"),
    "cut short": ('{"event_name": "a"', "body"),
    "an array": ("[]", "body"),
    "a number": ("5", "body"),
    "no name": ({"external_customer_id": "acme"}, "event_name"),
    "no customer": ({"event_name": "a"}, "external_customer_id"),
    "empty name": (EVENT | {"event_name": ""}, "event_name"),
    "blank customer": (EVENT | {"external_customer_id": "  "}, "external_customer_id"),
    "empty id": (EVENT | {"event_id": ""}, "event_id"),
    "name a number": (EVENT | {"event_name": 5}, "event_name"),
    "id of 10 kB": (EVENT | {"event_id": "x" * 10_240}, "event_id"),
    "long name": (EVENT | {"event_name": "x" * 256}, "event_name"),
    "long source": (EVENT | {"source": "x" * 256}, "source"),
    "time a number": (EVENT | {"timestamp": 1767225600}, "timestamp"),
    "empty time": (EVENT | {"timestamp": ""}, "timestamp"),
    "time without zone": (EVENT | {"timestamp": "2026-01-31T12:00:00"}, "timestamp"),
    "year 0": (EVENT | {"timestamp": "0000-01-01T00:00:00Z"}, "timestamp"),
    "year 1": (EVENT | {"timestamp": "0001-01-01T00:00:00Z"}, "timestamp"),
    "year 9999": (EVENT | {"timestamp": "9999-12-31T23:59:59Z"}, "timestamp"),
    "31 February": (EVENT | {"timestamp": "2026-02-31T12:00:00Z"}, "timestamp"),
    "properties a string": (EVENT | {"properties": "tokens"}, "properties"),
    "properties an array": (EVENT | {"properties": [1]}, "properties"),
    "NaN": (with_properties('{"n": NaN}'), "body"),
    "Infinity": (with_properties('{"n": Infinity}'), "body"),
    "1e400": (with_properties('{"n": 1e400}'), "properties.n"),
    "many digits": (with_properties('{"n": ' + "1" * 101 + "}"), "properties.n"),
    "NUL escaped": (with_properties('{"t": "a\\u0000"}'), "properties.t"),
    "NUL in a name": (EVENT | {"event_name": "a\x00"}, "event_name"),
    "NUL raw": (with_properties('{"t": "a\x00"}'), "body"),
    "lone surrogate": (with_properties('{"t": "\\ud800"}'), "properties.t"),
    "lone surrogate in an id": ('{"event_name": "a", "external_customer_id": "\\udfff"}', "external_customer_id"),
    "surrogate bytes": (b'{"event_name": "\xed\xa0\x80", "external_customer_id": "b"}', "body"),
    "not UTF-8": (b'{"event_name": "\xff"}', "body"),
    "UTF-16": (json.dumps(EVENT).encode("utf-16"), "body"),
    "field twice": (json.dumps(EVENT)[:-1] + ', "event_name": "b"}', "event_name"),
    "property twice": (with_properties('{"n": 1, "n": 2}'), "properties.n"),
    "nested 33 deep": (with_properties('{"a": ' + "[" * 32 + "]" * 32 + "}"), "properties.a" + "[0]" * 31),
    "nested 10,000 deep": (with_properties('{"a": ' + "[" * 10_000 + "]" * 10_000 + "}"), "body"),
    "nested 1,000,000 deep": ("[" * 1_000_000, "body"),
    "objects 10,000 deep": (with_properties('{"a":' * 10_000 + "1" + "}" * 10_000), "body"),
    "long text": (with_properties('{"t": "' + "x" * 16_385 + '"}'), "properties.t"),
    "long key": (with_properties('{"' + "k" * 256 + '": 1}'), "properties." + "k" * 80),
    "many properties": (EVENT | {"properties": {f"k{n}": n for n in range(257)}}, "properties"),
}


@pytest.mark.parametrize(("body", "field"), BAD_EVENTS.values(), ids=BAD_EVENTS.keys())
def test_an_invalid_event_is_refused_by_field_and_not_stored(web, body, field):
    before = web.waiting()
    said = refusal(web.post("/v1/events", body), 400)
    assert said["code"] == "validation_error"
    assert list(said["details"]) == [field]
    assert said["message"] == f"Request validation failed: {field} {said['details'][field][0]}"
    assert web.waiting() == before


IN_A_BATCH = {name: bad for name, bad in BAD_EVENTS.items() if bad[1] != "body" and not isinstance(bad[0], bytes)}


@pytest.mark.parametrize(("body", "field"), IN_A_BATCH.values(), ids=IN_A_BATCH.keys())
def test_one_invalid_event_refuses_the_whole_batch_by_index(web, body, field):
    before = web.waiting()
    bad = body if isinstance(body, str) else json.dumps(body)
    good = json.dumps(EVENT)
    said = refusal(web.post("/v1/events/bulk", f'{{"events": [{good}, {good}, {bad}, {good}]}}'), 400)
    assert list(said["details"]) == [f"events[2].{field}"]
    assert web.waiting() == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"events": []}, "events"),
        ({"events": None}, "events"),
        ({}, "events"),
        ([EVENT], "body"),
        ({"events": [EVENT] * 1001}, "events"),
        ({"events": [EVENT, [EVENT]]}, "events[1]"),
        ('{"events": [' + "[" * 10_000 + "]" * 10_000 + "]}", "events[0]"),
        ('{"events": [' + ",".join([json.dumps(EVENT)] * 3) + "]", "body"),
    ],
)
def test_an_invalid_batch_is_refused(web, body, field):
    before = web.waiting()
    said = refusal(web.post("/v1/events/bulk", body), 400)
    assert list(said["details"]) == [field]
    assert web.waiting() == before


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/bulk"])
def test_a_compressed_body_is_read(web, path):
    event = EVENT | {"event_id": f"zipped-{path}"}
    body = gzip.compress(json.dumps(event if path == "/v1/events" else {"events": [event]}).encode())
    assert web.post(path, body, content_encoding="gzip").status_code == 202
    assert web.post(path, iter([body[:20], body[20:]]), content_encoding="GZIP").status_code == 202  # chunked
    assert web.ask("SELECT count(*) FROM events_inboxevent WHERE event_id = %s", event["event_id"]) == [(2,)]


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/bulk"])
def test_a_zip_bomb_is_refused(web, path):
    bomb = gzip.compress(b" " * (33 * MIB))  # 32 kB
    assert refusal(web.post(path, bomb, content_encoding="gzip"), 413)["code"] == "payload_too_large"


def test_a_broken_or_unknown_compression_is_refused(web):
    body = gzip.compress(json.dumps(EVENT).encode())
    for broken in (body[:-9], b"not gzip", json.dumps(EVENT).encode()):
        said = refusal(web.post("/v1/events", broken, content_encoding="gzip"), 400)
        assert said["message"].startswith("The body can't be decompressed")
    said = refusal(web.post("/v1/events", body, content_encoding="br"), 415)
    assert said["message"] == "Send the body as it is, or compressed with gzip."


# --- CloudEvents --------------------------------------------------------------------------------------

CLOUD_BATCH = "application/cloudevents-batch+json"
CLOUD_EVENT = {
    "specversion": "1.0", "id": "ce-1", "source": "/gateway", "type": "tokens.used", "subject": "acme",
    "time": "2026-01-31T12:00:00Z", "data": {"tokens": 3},
}  # fmt: skip


def stored(web: Web, event_id: str) -> list[Any]:
    columns = "event_name, external_customer_id, occurred_at, source, properties"
    return web.ask(f"SELECT {columns} FROM events_inboxevent WHERE event_id = %s", event_id)


AS_STORED = ("tokens.used", "acme", datetime(2026, 1, 31, 12, tzinfo=UTC), "/gateway", {"tokens": 3})


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/bulk"])
def test_structured_and_binary_cloud_events_are_accepted(web, path):
    event_id = f"structured-{path}"
    body = CLOUD_EVENT | {"id": event_id}
    assert web.post(path, body, content_type="application/cloudevents+json; charset=utf-8").status_code == 202
    assert stored(web, event_id) == [AS_STORED]

    event_id = f"binary-{path}"
    headers = {f"ce_{name}": text for name, text in body.items() if isinstance(text, str)} | {"ce_id": event_id}
    assert web.post(path, {"tokens": 3}, **headers).status_code == 202
    assert stored(web, event_id) == [AS_STORED]


def test_a_batch_of_cloud_events_is_accepted_by_the_bulk_endpoint(web):
    batch = [CLOUD_EVENT | {"id": f"batched-{number}"} for number in range(3)]
    assert web.post("/v1/events/bulk", batch, content_type=CLOUD_BATCH).status_code == 202
    assert [stored(web, f"batched-{number}") for number in range(3)] == [[AS_STORED]] * 3
    said = refusal(web.post("/v1/events", batch, content_type=CLOUD_BATCH), 415)
    assert said["message"] == "Send CloudEvents as application/cloudevents+json; a batch to /v1/events/bulk."


def test_a_cloud_event_is_refused_by_its_own_attribute(web):
    response = web.post("/v1/events", CLOUD_EVENT | {"subject": ""}, content_type="application/cloudevents+json")
    assert refusal(response, 400)["details"] == {"subject": ["must not be empty"]}
    batch = [CLOUD_EVENT, CLOUD_EVENT | {"time": "noon"}]
    assert list(refusal(web.post("/v1/events/bulk", batch, content_type=CLOUD_BATCH), 400)["details"]) == ["[1].time"]


@pytest.mark.parametrize(("path", "mib"), [("/v1/events", 1), ("/v1/events/bulk", 32)])
def test_a_body_over_the_limit_is_refused(web, path, mib):
    before = web.waiting()
    said = refusal(web.post(path, b" " * (mib * MIB + 1)), 413)
    assert (said["code"], said["details"]) == ("payload_too_large", {})
    assert f"larger than {mib} MiB" in said["message"]
    parts = iter([b" " * MIB] * (mib + 1))
    assert refusal(web.post(path, parts), 413) == said
    assert web.waiting() == before


@pytest.mark.parametrize(("path", "mib"), [("/v1/events", 1), ("/v1/events/bulk", 32)])
def test_a_body_of_exactly_the_limit_is_accepted(web, path, mib):
    body = json.dumps(EVENT if mib == 1 else {"events": [EVENT]}).encode()
    assert web.post(path, body + b" " * (mib * MIB - len(body))).status_code == 202


def test_a_body_with_a_too_large_content_length_is_refused_unread(web):
    address = urlsplit(web.base_url)
    head = f"Host: localhost\r\nx-api-key: {web.key}\r\nContent-Length: {33 * MIB}"
    with socket.create_connection((address.hostname, address.port), 10) as client:
        client.sendall(f"POST /v1/events/bulk HTTP/1.1\r\n{head}\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/bulk"])
def test_without_a_valid_key_nothing_is_accepted(web, path):
    before = web.waiting()
    revoked, expired = web.keys["revoked"], web.keys["expired"]
    messages = {
        "": "No API key was sent: put it in the x-api-key header.",
        "sk_" + "x" * 43: "The API key is not known.",
        "wrong": "The API key is not known.",
        revoked: f"The API key {revoked[:12]}… was revoked on",
        expired: f"The API key {expired[:12]}… expired on",
    }
    for key, message in messages.items():
        response = web.post(path, "whatever", key=key)
        said = refusal(response, 401)
        assert said["code"] == "unauthorized"
        assert said["message"].startswith(message)
        assert response.headers["www-authenticate"]
    assert web.waiting() == before


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/bulk"])
def test_a_key_without_the_scope_is_refused_by_name_of_the_scope(web, path):
    said = refusal(web.post(path, EVENT, key=web.keys["reader"]), 403)
    assert (said["code"], said["message"]) == ("permission_denied", "The API key lacks the scope events:write.")


def test_a_key_over_its_rate_limit_is_told_when_to_retry(web):
    key = web.keys["one a minute"]
    for path, body, kind in (("/v1/events", EVENT, "single"), ("/v1/events/bulk", {"events": [EVENT]}, "bulk")):
        assert web.post(path, body, key=key).status_code == 202
        response = web.post(path, body, key=key)
        said = refusal(response, 429)
        assert said["code"] == "too_many_requests"
        assert said["message"] == (
            f"This API key is limited to 1 {kind} requests per minute. Wait for the number of seconds in Retry-After."
        )
        assert 1 <= int(response.headers["retry-after"]) <= 60
        assert response.headers["x-ratelimit-limit"] == "1"
        assert response.headers["x-ratelimit-remaining"] == "0"
        assert 0 < int(response.headers["x-ratelimit-reset"]) - time.time() <= 61


def test_other_methods_and_paths_are_refused(web):
    assert refusal(httpx.put(f"{web.base_url}/v1/events", headers={"x-api-key": web.key}), 405)
    assert refusal(web.post("/v1/events/", EVENT), 404)


def test_an_unknown_host_is_refused(web):
    assert refusal(web.post("/v1/events", EVENT, host="evil.example"), 400)


def test_refusals_are_logged_with_the_key_and_the_field(web):
    web.post("/v1/events", {"event_name": "log me"})
    web.post("/v1/events", {"event_name": "log me"})
    web.post("/v1/events/bulk", EVENT, key="sk_log-me-" + "x" * 40)
    statement = "SELECT status, field, key_prefix FROM events_refusedrequest WHERE status = %s AND key_prefix = %s"
    wait_until(lambda: web.ask(statement, 400, web.key[:12]) and web.ask(statement, 401, ""))
    rows = web.ask("SELECT field, path, reason FROM events_refusedrequest WHERE field = 'external_customer_id'")
    assert ("external_customer_id", "/v1/events", "bad_request") in rows


def test_without_a_database_the_answer_is_an_immediate_503(web):
    with granian("postgresql://nobody@127.0.0.1:1/nothing") as base_url:
        down = Web(base_url, "", web.keys)
        for path in ("/v1/events", "/v1/events/bulk"):
            begun = time.monotonic()
            response = down.post(path, EVENT)
            assert refusal(response, 503)["code"] == "service_unavailable"
            assert response.headers["retry-after"] == "2"
            assert time.monotonic() - begun < 5
        begun = time.monotonic()
        assert [down.post("/v1/events", EVENT).status_code for _ in range(20)] == [503] * 20
        assert time.monotonic() - begun < 5


# --- Described ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "operation", "body", "answer"),
    [
        ("/v1/events", "ingestEvent", "EventBodyRequest", "EventAccepted"),
        ("/v1/events/bulk", "ingestEventsBulk", "EventBatchBodyRequest", "EventsAccepted"),
    ],
)
def test_the_schema_describes_the_ingest_endpoints(path, operation, body, answer):
    schema = load_schema()
    post = schema["paths"][path]["post"]
    assert post["operationId"] == operation
    assert post["security"] == [{"ApiKey": []}]
    assert set(post["responses"]) == {"202", "400", "401", "403", "413", "415", "429", "503"}
    sent = post["requestBody"]["content"]["application/json"]
    assert sent["schema"] == {"$ref": f"#/components/schemas/{body}"}
    assert sent["examples"]
    accepted = post["responses"]["202"]["content"]["application/json"]["schema"]
    assert accepted == {"$ref": f"#/components/schemas/{answer}"}
    refused = post["responses"]["400"]["content"]["application/json"]
    assert refused["schema"] == {"$ref": "#/components/schemas/ErrorBody"}
    assert refused["examples"]
    assert schema["components"]["schemas"]["EventBodyRequest"]["required"] == ["event_name", "external_customer_id"]
