"""Create many rows from one with SQL, for tests and benchmarks with large tables."""

from typing import Any

from django.db import connection
from django.db.models import Model

from billing.models import Invoice, InvoiceKind
from customers.models import Customer, Subscription
from tests.factories import NOW, make_subscription


def copy_row(row: Model, count: int, **expressions: Any) -> None:
    """Insert copies of a saved row in one statement, and analyze the table.

    `expressions` are SQL expressions by column, in which `n` is the number of the copy, from 1.
    """
    meta = row._meta
    columns = [field.column for field in meta.concrete_fields if not field.primary_key]
    values = [expressions.get(column, f'model."{column}"') for column in columns]
    with connection.cursor() as cursor:
        names = ", ".join(f'"{column}"' for column in columns)
        cursor.execute(
            f"INSERT INTO {meta.db_table} ({names}) SELECT {', '.join(values)} "
            f"FROM {meta.db_table} AS model, generate_series(1, %s) AS n WHERE model.id = %s",
            [count, row.pk],
        )
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
