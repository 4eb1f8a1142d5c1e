"""The served OpenAPI schema against the API itself: whatever fits the schema is answered as the schema says."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from config.api.schema import load_schema
from config.rsgi import handler as application
from events.access.keys import make_key
from events.models import Scope
from tests.scenarios.schema import get_example, list_operations, make_electronic_company, narrow_schema

CHECKS = [
    *(not_a_server_error, status_code_conformance, content_type_conformance),
    *(response_headers_conformance, response_schema_conformance),
]
TAGS = sorted({one["tags"][0] for _, _, one in list_operations()})
# Rules for every operation, which the description of each 400 states: the reasons that they give.
GENERAL_REASONS = re.compile(
    r"[Nn]ull characters|NUL character|characters that aren't allowed|between 1970 and 2200|[Cc]ursor"
    r"|time zone|currency code|isn't a currency|may not be blank|Specify the value under|Enter a valid"
)
EXAMPLES_EACH = 10  # of more than 300 operations: two minutes


def test_the_schema_is_openapi_3_1():
    assert load_schema()["openapi"].startswith("3.1.")


def test_every_operation_has_a_unique_id_and_documented_errors():
    ids = [one["operationId"] for _, _, one in list_operations()]
    assert len(ids) == len(set(ids))
    for path, method, one in list_operations():
        assert {"401", "403", "429", "503"} <= set(one["responses"]), (method, path)
        assert one["security"] == [{"ApiKey": []}], (method, path)
        assert one["summary"], (method, path)


def test_every_body_and_every_error_has_an_example():
    for path, method, one in list_operations():
        if "requestBody" in one:
            assert get_example(one) is not None, (method, path)
        for status, answer in one["responses"].items():
            if status >= "400":
                assert answer["content"]["application/json"].get("examples"), (method, path, status)


def refusal_is_described(context: Any, response: Any, case: Any) -> None:
    """Fail if a request that fits the schema is refused for a rule that the description of the 400 doesn't name."""
    body = response.json() if response.status_code == 400 else {}
    if body.get("code") != "validation_error" or GENERAL_REASONS.search(body["message"]):
        return
    rules = case.operation.definition.raw["responses"]["400"]["description"]
    names = [re.sub(r"\[\d+\]", "", name).rpartition(".")[2] for name in body["details"]]
    named_in_message = [name for name in re.findall(r"`(\w+)`", rules) if name in body["message"]]
    is_named = all(f"`{name}`" in rules or name == "non_field_errors" for name in names)
    if not (named_in_message or (is_named and "`" in rules.partition("field's type.")[2])):
        raise AssertionError(f"The 400 doesn't describe this refusal: {body['message']}")


@contextmanager
def one_connection() -> Iterator[None]:
    """Keep requests in the test's transaction. Django's own client, when it is used, undoes this."""
    at_ends = (request_started, request_finished)
    for signal in at_ends:
        signal.disconnect(close_old_connections)
    yield
    for signal in at_ends:
        signal.connect(close_old_connections)


@pytest.mark.slow
@pytest.mark.parametrize("tag", TAGS)
def test_any_request_that_fits_the_schema_is_answered_as_described(tag, api):
    schema = schemathesis.openapi.from_dict(narrow_schema(make_electronic_company(api)))
    schema.app = application
    _, key = make_key("Fuzz", scopes=[Scope.ALL], single_per_minute=0, bulk_per_minute=0)
    with one_connection():
        for path, method, one in list_operations():
            if one["tags"][0] == tag:
                _try(schema[path][method.upper()], key)


def _try(operation: Any, key: str) -> None:
    @settings(
        max_examples=EXAMPLES_EACH, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def run(case: Any) -> None:
        with transaction.atomic():  # every case finds the same company
            case.call_and_validate(headers={"x-api-key": key}, checks=[*CHECKS, refusal_is_described])
            transaction.set_rollback(True)

    run()


def test_the_test_company_has_one_of_every_object_in_a_path(api):
    named = make_electronic_company(api)
    wanted = {
        parameter["name"]
        for _, _, one in list_operations()
        for parameter in one.get("parameters", [])
        if parameter.get("in") == "path"
    }
    assert wanted <= set(named)


def test_every_object_of_the_company_can_be_retrieved(api):
    named = make_electronic_company(api)
    for path, method, _ in list_operations():
        if method == "get" and "{" in path and path.count("{") == 1 and not path.endswith("/pdf"):
            name = path.partition("{")[2].partition("}")[0]
            found = [api.client.get(path.replace(f"{{{name}}}", one)).status_code for one in named[name][:-1]]
            assert set(found) - {404}, path
