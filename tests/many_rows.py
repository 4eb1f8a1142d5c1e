"""Create many rows from one with SQL, for tests and benchmarks with large tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.models import Model

from billing.models import Invoice, InvoiceKind
from customers.models import Customer, Subscription
from tests.factories import NOW, make_subscription
from tests.owner import as_owner


def copy_row(row: Model, count: int, **expressions: Any) -> None:
    """Insert copies of a saved row in one statement, and analyze the table.

    `expressions` are SQL expressions by column, in which `n` is the number of the copy, from 1.
    """
    meta = row._meta
    columns = [field.column for field in meta.concrete_fields if not field.primary_key or field.column in expressions]
    values = [expressions.get(column, f'model."{column}"') for column in columns]
    with connection.cursor() as cursor:
        names = ", ".join(f'"{column}"' for column in columns)
        cursor.execute(
            f"INSERT INTO {meta.db_table} ({names}) SELECT {', '.join(values)} "
            f"FROM {meta.db_table} AS model, generate_series(1, %s) AS n WHERE model.id = %s",
            [count, row.pk],
        )
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {meta.db_table}")


def make_many(customer_count: int, invoice_count: int) -> None:
    """Create customers with one subscription each, and draft one-off invoices, spread over the customers."""
    subscription = make_subscription()
    customer = subscription.customer
    copy_row(customer, customer_count - 1, public_id="'cust_' || n", external_id="'many-' || n")
    first = Customer.objects.order_by("pk").values_list("pk", flat=True)[1]
    customer_id = f"{first} + mod(n - 1, {customer_count - 1})"
    copy_row(subscription, customer_count - 1, public_id="'subs_' || n", customer_id=customer_id)
    assert Subscription.objects.count() == customer_count
    kind = {"kind": InvoiceKind.ONE_OFF, "currency": "USD"}
    invoice = Invoice.objects.create(customer=customer, **kind, subtotal=0, total=0, amount_due=0, computed_at=NOW)
    copy_row(invoice, invoice_count - 1, public_id="'inv_' || n", customer_id=customer_id)


def count_rows_read(sql: str, table: str) -> int:
    """Return how many rows of a table a statement reads, by EXPLAIN ANALYZE."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        plan = cursor.fetchone()[0][0]["Plan"]
    return int(_count_rows(plan, table))


def _count_rows(node: dict[str, Any], table: str) -> float:
    rows = 0.0
    if node.get("Relation Name") == table:
        rows = float(node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return rows + sum(_count_rows(part, table) for part in node.get("Plans", []))


@contextmanager
def counted_blocks() -> Iterator[list[int]]:
    """Yield a list to which each SELECT in the block adds how many blocks of 8 kB it reads, by EXPLAIN ANALYZE."""
    blocks: list[int] = []

    def explain(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if not sql.startswith(("EXPLAIN", "SAVEPOINT", "RELEASE")):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", parameters)
                plan = cursor.fetchone()[0][0]["Plan"]
            blocks.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(explain):
        yield blocks
