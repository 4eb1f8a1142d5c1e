"""Pages that ask before something is deleted: they name it, in our words."""

import re
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group
from django.db.models import Model
from django.test import Client

from catalog.models import EventNameAlias
from tests.admin_pages import text_of, url
from tests.factories import make_draft, make_feature, make_price

pytestmark = pytest.mark.django_db
DJANGOS_WORDS = ("Are you sure", "Yes, I’m sure", "No, take me back", "related items", "Summary", "object (")


MAKERS = {
    "auth_group": lambda: Group.objects.create(name="Support"),
    "catalog_feature": lambda: make_feature(name="API calls"),
    "catalog_planversion": make_draft,
    "catalog_price": lambda: make_price(version=make_draft()),
    "catalog_eventnamealias": lambda: EventNameAlias.objects.create(alias="api.call", event_name="api.calls"),
}


def ask(client: Client, name: str, row: Model) -> tuple[str, str]:
    """Return the title and the text of the page that asks before the row is deleted."""
    response: Any = client.get(url(f"{name}_delete", row.pk))
    assert response.status_code == 200
    return title_of(response), text_of(response)


def title_of(response: Any) -> str:
    title = re.search(r"<title>(.*?)</title>", response.content.decode(), re.DOTALL)
    assert title
    return " ".join(title[1].split())


@pytest.mark.parametrize("name", MAKERS)
def test_the_page_names_what_is_deleted(staff_client: Client, name: str):
    row = MAKERS[name]()
    title, text = ask(staff_client, name, row)
    assert title.startswith(f"Delete · {row} · ")
    assert title.endswith(" · Countinghouse")
    assert f"Delete “{row}”? This can't be undone." in text
    assert not [words for words in DJANGOS_WORDS if words in text]


def test_the_page_of_an_entry_of_the_change_log_is_titled_by_what_was_changed(staff_client: Client):
    Group.objects.create(name="Support")
    entry = LogEntry.objects.latest("pk")
    page = staff_client.get(url("auditlog_logentry_change", entry.pk))
    assert title_of(page) == "Created Support · Change log · Countinghouse"
