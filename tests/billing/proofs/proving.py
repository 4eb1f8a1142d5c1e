"""Helpers for tests of proofs."""

from datetime import datetime
from typing import Any

from billing.models import ProofDifference, ProofRun
from billing.proofs.runs import prove_to_end, start_nightly, start_proofs


def prove_night(now: datetime) -> ProofRun:
    """Run the proofs of a night here."""
    return prove_to_end(start_nightly(now=now), now=now)


def prove(now: datetime, **scope: Any) -> ProofRun:
    """Run the proofs of one invoice, customer or month here."""
    return prove_to_end(start_proofs(now=now, by=None, **scope), now=now)


def counts(run: ProofRun) -> dict[str, tuple[int, int, int]]:
    """Return how much was proved, waits, and differs, by kind."""
    return {result.kind: (result.proved, result.waiting, result.differing) for result in run.results.all()}


def differences(run: ProofRun) -> list[tuple[str, str, str, str]]:
    """Return each difference as (name, figure, stated, calculated)."""
    rows = ProofDifference.objects.filter(result__run=run).order_by("pk")
    return [(row.name, row.figure, row.stated, row.calculated) for row in rows]
