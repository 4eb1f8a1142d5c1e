"""Measure the nightly proof of invoice lines: the time of one process for 100,000 lines, and its memory."""

import os
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from django.db import connection

from billing.models import InvoiceLine, ProofRun
from billing.proofs.checks.invoice_lines import InvoiceLines
from billing.runs.billing_run import run_to_end
from catalog.models import PlanVersion
from events.ledger.processing import process_batch
from tests.bench import subscribers
from tests.bench.figures import Figure

SMALL = int(os.environ.get("BENCH_PROOFS", "1000"))  # subscriptions, of three lines each
LARGER = 4  # times as many, for the memory
EVENTS = 150  # for each usage line: 100 for each line
NIGHT_LINES = 100_000
SEND = """
    INSERT INTO events_inboxrequest
        (event_ids, event_names, external_customer_ids, occurred_at, received_at, sources, properties)
    SELECT
        array_agg(customer.external_id || event_name || no), array_agg(event_name), array_agg(customer.external_id),
        array_agg(%(start)s::timestamptz + no * interval '3 hours'), %(received)s, array_agg(''::text),
        array_agg('{"tokens": 1234}'::jsonb)
    FROM customers_customer AS customer
    CROSS JOIN unnest(ARRAY['api.calls', 'model.usage']) AS names(event_name)
    CROSS JOIN generate_series(1, %(events)s) AS no
    WHERE customer.id > %(known)s
    GROUP BY customer.id
"""


def proofs() -> Iterator[Figure]:
    """Bill some subscriptions and prove their lines, then bill and prove four times as many."""
    plan = subscribers.make_plan()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE events_event, events_inboxrequest, events_problem, events_uniquevalue CASCADE")
    subscribe(plan, SMALL)
    seconds, lines = prove()
    peak = peak_mib()
    subscribe(plan, SMALL * (LARGER - 1))
    _, all_lines = prove()
    data = {"lines": lines, "events": SMALL * 2 * EVENTS, "ms_per_line": round(seconds / lines * 1000, 2)}
    hours = seconds / lines * NIGHT_LINES / 3600
    yield Figure("proof_hours", hours, "h for 100k lines", 2, smaller_is_better=True, data=data)
    memory = {"lines": all_lines, "peak_mib": round(peak_mib(), 1), "peak_mib_at_a_quarter": round(peak, 1)}
    yield Figure("proof_memory_ratio", peak_mib() / peak, "4 × lines ÷ 1 ×", 1.1, smaller_is_better=True, data=memory)


def subscribe(plan: PlanVersion, count: int, *, received: datetime | None = None) -> None:
    """Subscribe customers, count their events of the month, received now or at another time, and bill it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(max(id), 0) FROM customers_customer")
        known = cursor.fetchone()[0]
    subscribers.subscribe(plan, count, now=datetime.now(UTC), hours=0)
    with connection.cursor() as cursor:
        times = {"start": subscribers.START, "received": received or datetime.now(UTC)}
        cursor.execute(SEND, times | {"events": EVENTS, "known": known})
    while process_batch(10_000).events:
        pass
    run_to_end(as_of=datetime.now(UTC))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE events_event, billing_invoice, billing_invoiceline")


def prove() -> tuple[float, int]:
    """Prove all lines here, part by part; return the seconds and the number of lines. Fails if a line isn't proved."""
    run = ProofRun(started_at=datetime.now(UTC), is_nightly=True)
    check, started, checked = InvoiceLines(), time.perf_counter(), 0
    for part in check.cover(run).parts:
        findings = check.prove(run, part)
        checked += findings.checked
        if findings.differing or findings.waiting:
            raise SystemExit(f"Wrong: {findings.found[:3]}, {findings.waiting} can't be proved.")
    seconds = time.perf_counter() - started
    if checked != InvoiceLine.objects.count():
        raise SystemExit(f"Wrong: {checked} lines proved.")
    return seconds, checked


def peak_mib() -> float:
    """Return the peak memory of this process and of the largest rater so far."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1024
