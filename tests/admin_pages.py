"""Helpers for tests of admin pages."""

from typing import Any

from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.factories import make_user


def url(name: str, *args: object, **query: object) -> str:
    """Return the address of an admin page: `url("catalog_plan_change", 7)`."""
    return reverse(f"admin:{name}", args=args, query=query or None)


def as_viewer(app: str = "catalog") -> Client:
    """Return a client logged in as a user who can view everything in an app and change nothing."""
    user = make_user()
    user.user_permissions.set(Permission.objects.filter(content_type__app_label=app, codename__startswith="view_"))
    client = Client()
    client.force_login(user)
    return client


def submit(client: Client, address: str, **fields: object) -> Any:
    """Submit the dialog of an action."""
    return client.post(address, {"_form_submitted": "on", **fields})


def count_queries(client: Client, address: str) -> int:
    """Return the number of queries of a page, without those that run only for the first request."""
    client.get(address)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)
