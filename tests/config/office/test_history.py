"""The change log is append-only, also for SQL."""

import pytest
from auditlog.models import LogEntry
from django.db import DatabaseError, connection, transaction

from catalog.models import Feature
from config.audit import recorded
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def author():
    author = make_user(email="ada@example.com")
    with recorded(by=author, reason="New product"):
        Feature.objects.create(name="Calls", event_name="api.call", aggregation="count")
    return author


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM auditlog_logentry",
        "UPDATE auditlog_logentry SET changes = '{}'",
        "UPDATE auditlog_logentry SET additional_data = NULL",
        "UPDATE auditlog_logentry SET actor_id = NULL, actor_email = NULL",
        "UPDATE auditlog_logentry SET actor_id = NULL; SET CONSTRAINTS ALL IMMEDIATE",
    ],
)
def test_change_log_entries_cannot_be_changed_or_deleted(author, statement):
    refusal = pytest.raises(DatabaseError, match="the change log is only ever added to")
    with refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")  # the triggers stop the owner, too
        cursor.execute(statement)


def test_a_deleted_user_is_still_named_by_email(author):
    author.delete()
    entry = LogEntry.objects.get(object_repr="Calls")
    assert (entry.actor, entry.actor_email) == (None, "ada@example.com")
    connection.check_constraints()
