"""The official Flexprice client from its package sends events to the real web process."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest
from flexprice import Flexprice
from flexprice.models.errors import ErrorResponse, FlexpriceDefaultError

from events.access.keys import make_key
from events.ledger.processing import process_batch
from events.models import Problem, Scope, UsageBucket
from tests.factories import make_customer, make_feature
from tests.web_server import database_url

pytestmark = pytest.mark.django_db


@dataclass
class Shop:
    """A sender with the client and plain HTTP, and access to the inbox."""

    base_url: str
    key: str
    reader: str
    url: str

    def client(self, key: str | None = None) -> Flexprice:
        return Flexprice(server_url=f"{self.base_url}/v1", api_key_auth=self.key if key is None else key)

    def stored(self, event_id: str) -> list[Any]:
        statement = (
            "SELECT event_name, external_customer_id, properties::text FROM events_inboxevent WHERE event_id = %s"
        )
        with psycopg.connect(self.url, autocommit=True) as database:
            return database.execute(statement.encode(), [event_id]).fetchall()


@pytest.fixture(scope="module")
def shop(web_server: str, django_db_blocker: Any) -> Iterator[Shop]:
    with django_db_blocker.unblock():
        _, secret = make_key("Shop")
        _, reader = make_key("Reader", scopes=[Scope.READ])
        yield Shop(web_server, secret, reader, database_url())


def test_a_single_event_is_accepted(shop):
    with shop.client() as sdk:
        answer = sdk.events.ingest_event(
            event_name="tokens.used",
            external_customer_id="acme",
            event_id="sdk-1",
            timestamp="2026-03-10T12:00:00Z",
            source="sdk",
            properties={"tokens": "1000", "model": "small"},
        )
    assert answer == {"message": "Event accepted for processing", "event_id": "sdk-1"}
    assert shop.stored("sdk-1") == [("tokens.used", "acme", '{"model": "small", "tokens": "1000"}')]


def test_an_event_with_only_required_fields_is_accepted(shop):
    with shop.client() as sdk:
        answer = sdk.events.ingest_event(event_name="api.calls", external_customer_id="acme")
    assert shop.stored(answer["event_id"]) == [("api.calls", "acme", "{}")]


def test_events_are_accepted_in_bulk(shop):
    events = [
        {"event_name": "api.calls", "external_customer_id": "acme", "event_id": f"sdk-bulk-{number}"}
        for number in range(1000)
    ]
    with shop.client() as sdk:
        answer = sdk.events.ingest_events_bulk(events=events)
    assert answer == {"message": "Events accepted for processing"}
    assert len(shop.stored("sdk-bulk-0")) == len(shop.stored("sdk-bulk-999")) == 1


def test_a_refused_event_raises_the_clients_error(shop):
    with shop.client() as sdk, pytest.raises(ErrorResponse) as refused:
        sdk.events.ingest_event(event_name=" ", external_customer_id="acme")
    assert refused.value.data.code == "validation_error"
    assert refused.value.data.http_status_code == 400
    assert str(refused.value) == "Request validation failed: event_name must not be empty"


def test_a_refused_batch_names_the_event(shop):
    good = {"event_name": "api.calls", "external_customer_id": "acme", "event_id": "sdk-refused"}
    with shop.client() as sdk, pytest.raises(ErrorResponse) as refused:
        sdk.events.ingest_events_bulk(events=[good, good | {"timestamp": "2026-03-10T12:00:00"}])
    assert "events[1].timestamp has no time zone" in str(refused.value)
    assert shop.stored("sdk-refused") == []


def test_an_empty_batch_is_refused(shop):
    with shop.client() as sdk, pytest.raises(ErrorResponse) as refused:
        sdk.events.ingest_events_bulk(events=[])
    assert str(refused.value) == "Request validation failed: events must contain at least one event"


def test_a_wrong_key_and_a_missing_scope_have_different_errors(shop):
    for key, status, word in (("sk_wrong", 401, "not known"), (shop.reader, 403, "events:write")):
        with shop.client(key) as sdk, pytest.raises(FlexpriceDefaultError) as refused:
            sdk.events.ingest_event(event_name="api.calls", external_customer_id="acme")
        assert refused.value.status_code == status
        assert word in refused.value.body


def test_a_number_sent_by_http_counts_and_text_sent_by_the_client_is_a_problem(shop):
    feature = make_feature(event_name="model.usage", field="tokens")
    make_customer(external_id="acme")
    event = {"event_name": "model.usage", "external_customer_id": "acme"}
    number = event | {"event_id": "by-http", "properties": {"tokens": 1000}}
    httpx.post(f"{shop.base_url}/v1/events", json=number, headers={"x-api-key": shop.key}).raise_for_status()
    with shop.client() as sdk:
        sdk.events.ingest_event(**event, event_id="by-client", properties={"tokens": "1000"})
    assert shop.stored("by-http") == [("model.usage", "acme", '{"tokens": 1000}')]
    assert shop.stored("by-client") == [("model.usage", "acme", '{"tokens": "1000"}')]

    process_batch(100_000)

    assert UsageBucket.objects.get(feature=feature).total == Decimal(1000)
    assert Problem.objects.get(feature=feature).reason == "not_a_number"
