"""The views for business intelligence tools: a role with access to them reads nothing else."""

import re
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.db import ProgrammingError, connection, transaction

from tests.billing.invoices import make_finalized
from tests.owner import as_owner

pytestmark = pytest.mark.django_db

DOCUMENTATION = (Path(settings.BASE_DIR) / "docs" / "reporting.md").read_text()


@contextmanager
def reader():
    """Act as the role that the documentation creates."""
    statements = re.findall(r"```sql\n(CREATE ROLE .*?)```", DOCUMENTATION, re.DOTALL)[0]
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(statements)
        cursor.execute("SET ROLE metabase")
        yield cursor


def test_the_documented_views_are_those_of_the_schema():
    with connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.views WHERE table_schema = 'reporting'")
        views = {name for (name,) in cursor.fetchall()}
    assert views == set(re.findall(r"^\| `reporting\.(\w+)`", DOCUMENTATION, re.MULTILINE))


def test_the_role_reads_every_view():
    make_finalized("30.00")
    with reader() as cursor:
        cursor.execute("SELECT status, total, amount_remaining FROM reporting.invoices")
        assert [tuple(map(str, row)) for row in cursor.fetchall()] == [("finalized", "30.0000", "30.0000")]
        for view in re.findall(r"`(reporting\.\w+)`", DOCUMENTATION):
            cursor.execute(f"SELECT * FROM {view}")


def test_the_documented_query_gives_the_revenue_by_plan():
    make_finalized("30.00")
    make_finalized("12.50")
    query = re.findall(r"```sql\n(SELECT .*?)```", DOCUMENTATION, re.DOTALL)[0]
    with reader() as cursor:
        cursor.execute(query)
        assert [(str(row[1]), str(row[3])) for row in cursor.fetchall()] == [("USD", "42.5000")]


@pytest.mark.parametrize("table", ["billing_invoice", "events_event", "events_apikey", "auth_user"])
def test_the_role_reads_no_table(table):
    with reader() as cursor, pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        cursor.execute(f"SELECT 1 FROM public.{table}")
