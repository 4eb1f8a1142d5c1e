"""Factories of one-off invoices with lines, for tests of what happens after an invoice is issued."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connections

from billing.lifecycle.finalize import finalize
from billing.models import Invoice, InvoiceLine
from tests.billing.world import D, utc
from tests.factories import make_customer

ISSUED = utc(2026, 10, 1)


def make_draft(*amounts: Any, currency: str = "USD", **given: Any) -> Invoice:
    """Make a draft with a line of each amount, $100 unless told otherwise, without taxes."""
    total = sum((D(amount) for amount in amounts or ("100",)), D(0))
    invoice = Invoice.objects.create(
        **{"customer": given.pop("customer", None) or make_customer(), "kind": "one_off", "currency": currency}
        | {"subtotal": total, "total": total, "amount_due": total, "computed_at": ISSUED}
        | given
    )
    for position, amount in enumerate(amounts or ("100",), start=1):
        InvoiceLine.objects.create(
            invoice=invoice, position=position, kind="item", description=f"Item {position}", amount=D(amount)
        )
    return invoice


def make_finalized(*amounts: Any, **given: Any) -> Invoice:
    """Make an invoice as `make_draft` does, finalized on 1 October 2026."""
    return finalize(make_draft(*amounts, **given), now=ISSUED)


def later(days: int = 1) -> Any:
    """Return a moment some days after the issue."""
    return ISSUED + timedelta(days=days)


def at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """Run jobs in threads that begin together; return what each returned or raised."""
    start = threading.Barrier(len(jobs))
    results: list[Any] = [None] * len(jobs)

    def run(place: int, job: Callable[[], Any]) -> None:
        try:
            start.wait(timeout=10)
            results[place] = job()
        except Exception as error:  # noqa: BLE001  the test looks at what was raised
            results[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
