"""Helpers for tests of admin pages."""

import re
from html import unescape
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


def submit(client: Client, address: str, **answers: object) -> Any:
    """Answer an action's dialog, as htmx sends it."""
    return client.post(address, {"_form_submitted": "on", **answers}, headers={"HX-Request": "true"})


def text_of(response: Any) -> str:
    """Return a page's text as people read it."""
    html = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", response.content.decode(), flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def count_queries(client: Client, address: str) -> int:
    """Return the number of queries of a page, without those that run only for the first request."""
    client.get(address)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)
