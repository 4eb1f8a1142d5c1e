"""Add up a finished simulation: totals, customers who pay more or less, and the distribution of their changes."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from django.db import connection

from billing import wording
from billing.models import Simulation

# Bands of a customer's change in percent of what was invoiced; the last one is for customers who weren't charged.
BANDS = (
    *("below -50%", "-50% to -20%", "-20% to -5%", "-5% to 0%", "0%"),
    *("0% to 5%", "5% to 20%", "20% to 50%", "above 50%", "newly charged"),
)

BY_CUSTOMER = """
    WITH by_customer AS (
        SELECT currency, customer_id, count(*) AS periods, sum(invoiced) AS invoiced, sum(simulated) AS simulated,
            sum(change) AS change
        FROM billing_simulationinvoice
        WHERE simulation_id = %(simulation)s AND problem = ''
        GROUP BY currency, customer_id
    ), banded AS (
        SELECT *, CASE
            WHEN change = 0 THEN 4
            WHEN invoiced <= 0 THEN 9
            WHEN change * 100 < invoiced * -50 THEN 0
            WHEN change * 100 < invoiced * -20 THEN 1
            WHEN change * 100 < invoiced * -5 THEN 2
            WHEN change < 0 THEN 3
            WHEN change * 100 <= invoiced * 5 THEN 5
            WHEN change * 100 <= invoiced * 20 THEN 6
            WHEN change * 100 <= invoiced * 50 THEN 7
            ELSE 8
        END AS band
        FROM by_customer
    )
    SELECT currency, count(*), sum(periods), sum(invoiced), sum(simulated), sum(change),
        count(*) FILTER (WHERE change > 0), count(*) FILTER (WHERE change < 0),
        percentile_disc(ARRAY[0.05, 0.5, 0.95]) WITHIN GROUP (ORDER BY change), min(change), max(change),
        coalesce(round(max(abs(change) * 100 / invoiced) FILTER (WHERE invoiced > 0), 2), 0),
        array(
            SELECT count(*) FILTER (WHERE inside.band = number)
            FROM generate_series(0, 9) AS number
            LEFT JOIN banded AS inside ON inside.currency = banded.currency
            GROUP BY number ORDER BY number
        )
    FROM banded
    GROUP BY currency ORDER BY currency
"""

BY_ROW = """
    SELECT currency, count(*) FILTER (WHERE changes_sign), count(*) FILTER (WHERE exceeds_limit),
        count(*) FILTER (WHERE problem <> '')
    FROM billing_simulationinvoice WHERE simulation_id = %(simulation)s
    GROUP BY currency
"""

BY_CAUSE = """
    SELECT currency, part ->> 0, sum((part ->> 2)::numeric)
    FROM billing_simulationinvoice CROSS JOIN jsonb_array_elements(parts) AS part
    WHERE simulation_id = %(simulation)s
    GROUP BY currency, part ->> 0 ORDER BY currency, abs(sum((part ->> 2)::numeric)) DESC, part ->> 0
"""


def add_up(simulation: Simulation) -> list[dict[str, Any]]:
    """Return the figures of a simulation by currency, with amounts as texts."""
    parameters = {"simulation": simulation.pk}
    causes: dict[str, list[list[str]]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(BY_CAUSE, parameters)
        for currency, cause, amount in cursor.fetchall():
            causes[currency].append([cause, wording.plain(amount)])
        cursor.execute(BY_ROW, parameters)
        marked = {currency: counts for currency, *counts in cursor.fetchall()}
        cursor.execute(BY_CUSTOMER, parameters)
        by_customer = {currency: figures for currency, *figures in cursor.fetchall()}
    return [
        {"currency": currency, "causes": causes[currency]}
        | dict(zip(("sign_changes", "over_limit", "problems"), counts, strict=True))
        | _figures(by_customer.get(currency))
        for currency, counts in sorted(marked.items())
    ]


def _figures(row: list[Any] | None) -> dict[str, Any]:
    nothing: list[Any] = [0, 0, *[Decimal(0)] * 3, 0, 0, [Decimal(0)] * 3, *[Decimal(0)] * 3, [0] * len(BANDS)]
    customers, periods, invoiced, simulated, change, more, less, percentiles, lowest, highest, percent, bands = (
        row or nothing
    )
    amounts = {
        "invoiced": invoiced,
        "simulated": simulated,
        "change": change,
        "lowest": lowest,
        "highest": highest,
        "largest_percent": percent,
    }
    amounts |= dict(zip(("p5", "p50", "p95"), percentiles, strict=True))
    counts = {"customers": customers, "periods": int(periods), "pay_more": more, "pay_less": less, "bands": bands}
    return counts | {name: wording.plain(amount) for name, amount in amounts.items()}
