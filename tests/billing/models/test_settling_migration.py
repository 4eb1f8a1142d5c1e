"""Upgrading: invoices that were marked as paid before payments were kept get theirs, and stay as they were."""

import os
import subprocess
import sys

import psycopg
import pytest
from django.conf import settings

pytestmark = pytest.mark.slow


def migrate(url, *target):
    command = [sys.executable, "manage.py", "migrate", "-v0", *target]
    subprocess.run(command, env=os.environ | {"DATABASE_URL": url}, cwd=settings.BASE_DIR, check=True)


def insert(cursor, table, **given):
    """Insert a row; columns that aren't named and must not be empty get a plain value of their type."""
    cursor.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s AND is_nullable = 'NO'"
        " AND column_default IS NULL AND is_identity = 'NO'",
        [table],
    )
    plain = {"jsonb": "{}", "boolean": False, "timestamp with time zone": "2026-10-01", "numeric": 0, "bigint": 0}
    values = {name: plain.get(kind, 0 if "int" in kind else "") for name, kind in cursor.fetchall()} | given
    columns, holes = ", ".join(values), ", ".join(["%s"] * len(values))
    cursor.execute(f"INSERT INTO {table} ({columns}) VALUES ({holes}) RETURNING id", list(values.values()))
    return cursor.fetchone()[0]


def test_invoices_that_were_marked_as_paid_get_their_payment(migrated_database_url):
    migrate(migrated_database_url, "billing", "0008")  # back to before there were payments
    with psycopg.connect(migrated_database_url, autocommit=True) as connection, connection.cursor() as cursor:
        customer = insert(cursor, "customers_customer", public_id="cust_1", external_id="acme", name="Acme",
                          timezone="UTC", state="active")  # fmt: skip
        insert(cursor, "billing_numberseries", name="invoices", prefix="INV-", width=6, next_number=4)
        for number, (state, due, paid) in enumerate([("paid", 50, 50), ("paid", 0, 0), ("finalized", -5, 0)], start=1):
            insert(
                cursor, "billing_invoice", public_id=f"inv_{number}", number=f"INV-{number}", customer_id=customer,
                kind="one_off", state=state, currency="USD", subtotal=due, total=due, amount_due=due, amount_paid=paid,
                finalized_at="2026-10-01", paid_at="2026-10-05" if state == "paid" else None,
            )  # fmt: skip
        migrate(migrated_database_url)
        cursor.execute("SELECT invoice_id, kind, amount, currency, received_on::text FROM billing_payment")
        assert [row[1:] for row in cursor.fetchall()] == [("payment", 50, "USD", "2026-10-05")]
        cursor.execute("SELECT state, amount_paid, amount_credited FROM billing_invoice ORDER BY number")
        assert cursor.fetchall() == [("paid", 50, 0), ("paid", 0, 0), ("finalized", 0, 0)]
        cursor.execute("SELECT name FROM billing_numberseries WHERE is_default AND used_for = 'invoice'")
        assert cursor.fetchall() == [("invoices",)]
