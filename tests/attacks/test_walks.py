"""Every address of the admin, asked for and posted to as every role: what is allowed, and what it changes."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.db import transaction
from django.http import HttpResponse, HttpResponseForbidden
from django.test import Client

from config import urls
from tests.attacks.walks.addresses import Address, list_addresses, list_rows
from tests.attacks.walks.queries import query_of
from tests.attacks.walks.rights import OWN, PAGES, POST_ONLY, PUBLIC, REDIRECTS, TABLES, may, may_post
from tests.attacks.walks.world import NO_ROLE, ROLES, STRANGER, client_of, make_world, uncommitted
from tests.attacks.walks.writes import noticing_writes

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

LOGIN = "/admin/login/"
REFUSED = (302, 403, 404, 405)  # led to the sign-in, refused, no such row for this role, or no form
# What opening a page writes all the same: that the session is in use, and how many attempts to sign in there were.
OF_THE_SESSION = {"config_staffsession", "config_cache"}
# What someone who knows every form would send.
ANSWERS = {"_form_submitted": "on", "_save": "1", "post": "yes", "reason": "Because", "month": "2026-01"}


@pytest.fixture(scope="module")
def addresses(django_db_setup: None, django_db_blocker: Any) -> Iterator[list[Address]]:
    with django_db_blocker.unblock(), uncommitted():
        make_world()
        yield list_addresses()


@pytest.fixture(autouse=True)
def plain_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer refusals without the page that explains them, which takes longer than everything else in this module."""
    monkeypatch.setattr(urls, "handler403", lambda request, exception: HttpResponseForbidden())


def is_shown(response: HttpResponse) -> bool:
    """Return whether the page was shown, or led elsewhere than to the sign-in."""
    is_signed_in = not response.headers.get("Location", "").startswith(LOGIN)
    return response.status_code in (200, 302) and is_signed_in


def test_every_address_has_its_roles_written_down_and_no_entry_is_left_of_a_removed_one(addresses):
    names = {address.name for address in addresses}
    assert {address.name for address in addresses if not address.table} - REDIRECTS == PAGES.keys() | OWN | PUBLIC
    assert {address.table for address in addresses if address.table} == TABLES.keys()
    assert (POST_ONLY | REDIRECTS) - names == set()
    assert [address.name for address in addresses if not address.paths] == []


@pytest.mark.parametrize("role", [*ROLES, NO_ROLE, STRANGER])
def test_a_role_sees_exactly_the_pages_that_it_may_see_and_opening_them_changes_nothing(addresses, role):
    client = client_of(role)
    client.get("/admin/")
    wrong, changed, failed = [], {}, []
    for address in addresses:
        shown = []
        for path in address.paths:
            with noticing_writes() as written:
                response = client.get(path, query_of(address.name))
            if response.status_code >= 500:
                failed.append(path)
            if written.keys() - OF_THE_SESSION:
                changed[path] = dict(written)
            shown.append(is_shown(response))
            if shown[-1] and role != "Owner":
                break  # some actions need a row in the right state: one of them is enough
        if address.name not in OWN | PUBLIC | REDIRECTS | POST_ONLY and any(shown) != may(role, address):
            wrong.append((address.name, response.status_code))
    assert (wrong, failed, changed) == ([], [], {})


@pytest.mark.parametrize("address", ["/admin/", "/admin/search/", "/admin/account/", "/admin/password_change/"])
def test_strangers_are_led_to_the_sign_in(client, db, address):
    assert client.get(address).headers["Location"].startswith(LOGIN)


@pytest.mark.parametrize("role", [*ROLES, NO_ROLE, STRANGER])
def test_a_post_without_the_right_is_refused_and_writes_nothing(addresses, role):
    client = client_of(role)
    client.get("/admin/")
    passed, changed = [], {}
    for address in addresses:
        if may_post(role, address):
            continue
        for path in address.paths[:1]:
            for answers in (ANSWERS, *(ANSWERS | selection for selection in selections(address))):
                status, written = send(client, path, answers, address)
                if status not in REFUSED and not may(role, address):
                    passed.append((path, status))
                if written:
                    changed[path, answers.get("action", "")] = written
    assert (passed, changed) == ([], {})


def send(client: Client, path: str, answers: dict[str, Any], address: Address) -> tuple[int, dict[str, int]]:
    """Post answers; return the status and what was written, which is rolled back."""
    with transaction.atomic():
        with noticing_writes() as written:
            response = client.post(path, answers | query_of(address.name))
        transaction.set_rollback(True)
    return response.status_code, {table: rows for table, rows in written.items() if table not in OF_THE_SESSION}


def selections(address: Address) -> Iterator[dict[str, Any]]:
    """Yield the actions of a list, each with a row selected."""
    if address.kind != "changelist":
        return
    model = next(model for model in admin.site._registry if model._meta.label_lower.replace(".", "_") == address.table)
    if actions := admin.site._registry[model].actions:
        rows = list_rows(model)
        for action in actions:
            yield {"action": action if isinstance(action, str) else action.__name__, "_selected_action": rows}
