"""Many rows from one, by SQL: for tests and benchmarks of what a table's size does."""

from typing import Any

from django.db import connection
from django.db.models import Model


def multiply(row: Model, many: int, **expressions: Any) -> None:
    """Insert copies of a saved row, all in one statement; `expressions` are SQL per column, in which `n` counts from 1.

    The planner knows the table afterwards.
    """
    meta = row._meta
    columns = [field.column for field in meta.concrete_fields if not field.primary_key]
    values = [expressions.get(column, f'model."{column}"') for column in columns]
    with connection.cursor() as cursor:
        names = ", ".join(f'"{column}"' for column in columns)
        cursor.execute(
            f"INSERT INTO {meta.db_table} ({names}) SELECT {', '.join(values)} "
            f"FROM {meta.db_table} AS model, generate_series(1, %s) AS n WHERE model.id = %s",
            [many, row.pk],
        )
        cursor.execute(f"ANALYZE {meta.db_table}")


def make_many(many_customers: int, many_invoices: int) -> None:
    """Make customers with a subscription each, and draft one-off invoices, spread over the customers."""
    from billing.models import Invoice, InvoiceKind
    from customers.models import Customer, Subscription
    from tests.factories import NOW, make_subscription

    subscription = make_subscription()
    customer = subscription.customer
    multiply(customer, many_customers - 1, public_id="'cust_' || n", external_id="'many-' || n")
    first = Customer.objects.order_by("pk").values_list("pk", flat=True)[1]
    own = f"{first} + mod(n - 1, {many_customers - 1})"
    multiply(subscription, many_customers - 1, public_id="'subs_' || n", customer_id=own)
    assert Subscription.objects.count() == many_customers
    kind = {"kind": InvoiceKind.ONE_OFF, "currency": "USD"}
    invoice = Invoice.objects.create(customer=customer, **kind, subtotal=0, total=0, amount_due=0, computed_at=NOW)
    multiply(invoice, many_invoices - 1, public_id="'inv_' || n", customer_id=own)
