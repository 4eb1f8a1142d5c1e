"""The served OpenAPI schema against the API itself: whatever fits the schema is answered as the schema says."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from config.wsgi import application
from events.keys import make_key
from events.models import Scope
from tests.factories import make_customer, make_draft, make_entitlement, make_price, make_subscription

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def described() -> dict[str, Any]:
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return schema


def operations() -> list[tuple[str, str, Any]]:
    return [(path, method, one) for path, methods in described()["paths"].items() for method, one in methods.items()]


def test_every_operation_is_named_once_and_says_what_refuses_it():
    ids = [one["operationId"] for _, _, one in operations()]
    assert len(ids) == len(set(ids))
    for path, method, one in operations():
        assert {"401", "403"} <= set(one["responses"]), (method, path)
        assert one["security"] == [{"ApiKey": []}], (method, path)
        assert one["summary"], (method, path)


def test_every_body_is_shown_by_an_example():
    for path, method, one in operations():
        if body := one.get("requestBody"):
            shown = body["content"]["application/json"]
            assert path.endswith("/search") or shown.get("examples"), (method, path)


@pytest.fixture
def key(db: None) -> Iterator[str]:
    """Put one of everything there, and return a key that may do all. Requests stay in the test's transaction."""
    make_customer(external_id="acme")
    make_subscription()
    draft = make_draft()
    make_price(version=draft)
    make_entitlement(version=draft)
    at_ends = (request_started, request_finished)
    for signal in at_ends:
        signal.disconnect(close_old_connections)
    yield make_key("Fuzz", scopes=[Scope.ALL], single_per_minute=0, bulk_per_minute=0)[1]
    for signal in at_ends:
        signal.connect(close_old_connections)


@pytest.mark.parametrize(("path", "method"), [(path, method) for path, method, _ in operations()])
def test_whatever_fits_the_schema_is_answered_as_it_says(path, method, key):
    schema = schemathesis.openapi.from_dict(described())
    schema.app = application

    @settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(case=schema[path][method.upper()].as_strategy())
    def run(case: Any) -> None:
        case.call_and_validate(headers={"x-api-key": key}, checks=CHECKS)

    run()
