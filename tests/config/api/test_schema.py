"""The OpenAPI schema is built once, served as JSON or YAML with an ETag, and starts with the guide."""

from pathlib import Path

import pytest
import yaml
from django.conf import settings

from config.api import schema
from config.api.openapi_parts import TAGS
from config.api.schema import load_schema


def test_the_schema_is_json(client):
    response = client.get("/v1/schema")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == load_schema()
    assert "Accept" in response.headers["vary"]


@pytest.mark.parametrize(
    ("query", "accept"), [("?format=yaml", "*/*"), ("", "application/yaml"), ("", "application/vnd.oai.openapi")]
)
def test_the_schema_is_yaml_for_clients_that_ask_for_it(client, monkeypatch, query, accept):
    monkeypatch.setattr(schema, "load_schema", lambda: {"openapi": "3.1.1", "paths": {}})  # the real one takes long
    schema._render.cache_clear()
    response = client.get(f"/v1/schema{query}", headers={"accept": accept})
    schema._render.cache_clear()
    assert "yaml" in response.headers["content-type"] or "openapi" in response.headers["content-type"]
    assert yaml.safe_load(response.content) == {"openapi": "3.1.1", "paths": {}}


def test_a_client_that_has_the_schema_is_answered_304(client):
    etag = client.get("/v1/schema").headers["etag"]
    response = client.get("/v1/schema", headers={"if-none-match": etag})
    assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", etag)
    assert client.get("/v1/schema", headers={"if-none-match": '"other"'}).status_code == 200


def test_the_schema_is_built_once(client, monkeypatch):
    load_schema()
    monkeypatch.setattr(schema, "SchemaGenerator", None)
    assert [client.get("/v1/schema").status_code for _ in range(2)] == [200, 200]


def test_the_schema_starts_with_the_guide():
    text = (Path(settings.BASE_DIR) / "docs" / "api.md").read_text()
    assert load_schema()["info"]["description"] == text


def test_tags_are_declared_in_the_order_of_the_work():
    names = [tag["name"] for tag in load_schema()["tags"]]
    described = [name for name in names if name in TAGS]
    assert names[: len(described)] == described == [name for name in TAGS if name in names]
    assert described[:2] == ["Events", "Usage"]
    assert described.index("Customers") < described.index("Plans") < described.index("Subscriptions")


def test_messages_have_ids_and_need_no_key():
    messages = [methods["post"] for methods in load_schema()["webhooks"].values()]
    assert len({message["operationId"] for message in messages}) == len(messages)
    assert "receiveInvoiceUpdateFinalized" in {message["operationId"] for message in messages}
    assert all(message["security"] == [] for message in messages)
