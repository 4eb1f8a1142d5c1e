"""No name in a request is ever ignored: every operation refuses fields and parameters that it doesn't use."""

import json
from typing import Any

import pytest

from tests.scenarios.schema import get_example, list_operations, make_sample_company

INGEST = [("/v1/events", "post"), ("/v1/events/bulk", "post")]  # these store what they are sent
OPERATIONS = [one for one in list_operations() if one[:2] not in INGEST]


@pytest.fixture
def company(api):
    return make_sample_company(api)


def send(api, company, path, method, body, query):
    for name, ids in company.items():
        path = path.replace(f"{{{name}}}", ids[1] if path.startswith("/v1/taxes/associations/") else ids[0])
    content, kind = ("", "") if body is None else (json.dumps(body), "application/json")
    response = api.client.generic(method.upper(), path, content, content_type=kind, query_params=query)
    assert response.status_code == 400, (method, path, response.content)
    return response.json()["details"]


def test_every_operation_refuses_an_unknown_query_parameter(api, company):
    for path, method, operation in OPERATIONS:
        body: Any = get_example(operation) if "requestBody" in operation else None
        assert "no_such_name" in send(api, company, path, method, body, {"no_such_name": "1"}), (method, path)


def test_every_operation_that_writes_refuses_an_unknown_field(api, company):
    """Operations that take no body refuse any field."""
    for path, method, operation in OPERATIONS:
        if method != "get":
            body = (get_example(operation) if "requestBody" in operation else None) or {}
            query = {"id": company["customer_id"][0]} if (path, method) == ("/v1/customers", "put") else {}
            refused = send(api, company, path, method, body | {"no_such_name": 1}, query)
            assert "no_such_name" in refused, (method, path)


@pytest.mark.parametrize(
    ("path", "parameter", "meant"),
    [
        ("customers", "externalId", "external_id"),
        ("invoices", "customerId", "customer_id"),
        ("plans", "lookupkey", "lookup_key"),
        ("payments", "ofset", "offset"),
    ],
)
def test_a_misspelled_parameter_of_a_list_is_refused_with_the_right_one(api, path, parameter, meant):
    details = api.get(path, status=400, **{parameter: "nobody"})["details"]
    assert details == {parameter: [f"Unknown name. Did you mean {meant}?"]}
