"""Every operation of the API with every scope: exactly the declared ones pass, and reading changes nothing."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from events.access.keys import clear_key_cache, make_key
from events.models import Scope
from tests.api import Api
from tests.attacks.walks.scopes import READ, READING_BY_POST, SCOPES, scopes_of
from tests.attacks.walks.world import uncommitted
from tests.attacks.walks.writes import noticing_writes
from tests.scenarios.examples import CASES, Case, list_combinations, replace_ids
from tests.scenarios.schema import SampleIds, get_example, list_operations, make_sample_company

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

# What reading writes all the same: when a key was used last, and that a request was refused.
LOGS = {"events_apikey", "events_refusedrequest"}
# These show what a change would do by making it, in a transaction that is rolled back.
PREVIEWS = {
    "getProblemsAtRisk",
    "previewSubscriptionChange",
    "previewSubscriptionModify",
    "previewSubscriptionPause",
    "previewSubscriptionResume",
}


@pytest.fixture(scope="module")
def ids(django_db_setup: None, django_db_blocker: Any) -> Iterator[SampleIds]:
    """Make a company with an object of every kind, which all tests of this module share."""
    with django_db_blocker.unblock(), uncommitted():
        yield make_sample_company(Api())


def client_with(*scopes: str) -> Client:
    return Client(headers={"x-api-key": make_key("Attack", scopes=scopes, single_per_minute=0, bulk_per_minute=0)[1]})


def list_requests(ids: SampleIds, path: str, operation: Any) -> Iterator[tuple[str, Any]]:
    """Yield addresses and bodies of an operation's example, with the ids of existing objects."""
    case, example = CASES.get(operation["operationId"], Case()), get_example(operation)
    for chosen in list_combinations(ids, path, example):
        yield f"{path.format(**chosen)}?{case.query}", replace_ids(example, chosen)


def ask(client: Client, method: str, address: str, body: Any) -> Any:
    """Send a request whose changes are rolled back."""
    content = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
    with transaction.atomic():
        response = client.generic(method.upper(), address, **content)
        transaction.set_rollback(True)
    clear_key_cache()
    return response


def test_every_operation_has_its_scopes_written_down_and_no_entry_is_left_of_a_removed_one():
    names = {operation["operationId"]: method for _, method, operation in list_operations()}
    assert [name for name, method in names.items() if not scopes_of(name, method)] == []
    assert (SCOPES.keys() | READING_BY_POST) - names.keys() == set()


@pytest.mark.parametrize("scope", Scope.values)
def test_a_key_with_one_scope_passes_exactly_where_it_is_enough(ids, scope):
    client, wrong = client_with(scope), []
    for path, method, operation in list_operations():
        name = operation["operationId"]
        address, body = next(list_requests(ids, path, operation))
        status = ask(client, method, address, body).status_code
        passes = scope == Scope.ALL or scopes_of(name, method) <= {scope}
        if (status == 403) == passes or status >= 500:
            wrong.append((name, status))
    assert wrong == []


def test_a_key_with_all_that_an_operation_needs_passes(ids):
    for path, method, operation in list_operations():
        scopes = scopes_of(operation["operationId"], method)
        if len(scopes) > 1:
            address, body = next(list_requests(ids, path, operation))
            assert ask(client_with(*scopes), method, address, body).status_code != 403, operation["operationId"]


def test_no_operation_answers_without_a_key(ids):
    for path, method, operation in list_operations():
        address, body = next(list_requests(ids, path, operation))
        assert ask(Client(), method, address, body).status_code == 401, address
        wrong = Client(headers={"x-api-key": "sk_0123456789012345678901234567890123456789012"})
        assert ask(wrong, method, address, body).status_code == 401, address


def test_reading_changes_nothing_not_even_in_a_transaction_that_is_rolled_back(ids):
    client, changed = client_with("read"), {}
    for path, method, operation in list_operations():
        if operation["operationId"] in PREVIEWS or scopes_of(operation["operationId"], method) != READ:
            continue
        for address, body in list_requests(ids, path, operation):
            with noticing_writes() as written:
                response = ask(client, method, address, body)
            if written.keys() - LOGS:
                changed[operation["operationId"]] = dict(written)
            assert response.status_code < 500, address
    assert changed == {}
