"""Runs of proofs: started every night or by someone, in parts that workers claim, each a transaction.

A part whose worker is killed is undone, and another worker claims it. A part that fails is a difference, and the other
parts are proved. The worker that finishes the last part of a result adds it up; the one that finishes the last result
finishes the run.
"""

import logging
import time
from collections.abc import Iterator
from datetime import date, datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Sum

from billing.isolation import unexpected_error
from billing.kinds import ProofKind, ProofSubject
from billing.models import Invoice, ProofDifference, ProofPart, ProofResult, ProofRun
from billing.proofs.alarm import scopes_to_prove_again, update_alarm
from billing.proofs.checks.base import CHECKS, Part
from billing.proofs.findings import Findings, not_proved
from config.jobs import claim
from customers.models import Customer

log = logging.getLogger(__name__)

MOST_DIFFERENCES = 1_000  # that a part lists; all are counted


@transaction.atomic
def start_nightly(*, now: datetime) -> ProofRun:
    """Start the proofs of a night, or return those that aren't finished.

    What has an open alarm is proved again by runs of its own.
    """
    run, is_new = ProofRun.objects.get_or_create(is_nightly=True, finished_at=None, defaults={"started_at": now})
    if is_new:
        _plan(run, now=now)
        for scope in scopes_to_prove_again(now=now):
            start_proofs(now=now, by=None, **scope)
    return run


@transaction.atomic
def start_proofs(
    *,
    now: datetime,
    by: User | None,
    invoice: Invoice | None = None,
    customer: Customer | None = None,
    month: date | None = None,
) -> ProofRun:
    """Start the proofs of one invoice, customer or month; without one of them, those of a night.

    Returns the run of this scope that isn't finished, if there is one.
    """
    if invoice is None and customer is None and month is None:
        return start_nightly(now=now)
    scope = {"invoice": invoice, "customer": customer, "month": month, "is_nightly": False}
    run = ProofRun.objects.filter(**scope, finished_at=None).first()
    if run is None:
        run = ProofRun.objects.create(**scope, started_at=now, started_by=by)
        _plan(run, now=now)
    return run


def _plan(run: ProofRun, *, now: datetime) -> None:
    """Save what each check covers. A check without anything to check is finished at once."""
    for kind in ProofKind:
        coverage = CHECKS[kind].cover(run) if kind in CHECKS else None
        if coverage is not None:
            result = ProofResult.objects.create(run=run, kind=kind, scope=coverage.scope[:255])
            ProofPart.objects.bulk_create(
                ProofPart(result=result, first_id=part.first, last_id=part.last) for part in coverage.parts
            )
            _finish_result(result.pk, now=now)
    _finish_run(run.pk, now=now)
    run.refresh_from_db()


def unfinished() -> list[int]:
    """List the unfinished runs, those that someone waits for first."""
    runs = ProofRun.objects.filter(finished_at=None).order_by("is_nightly", "started_at", "pk")
    return list(runs.values_list("pk", flat=True))


def prove_part(run_id: int, *, now: datetime) -> bool:
    """Prove a run's next part in one transaction; return whether there was one. Safe to run concurrently."""
    with transaction.atomic():
        parts = ProofPart.objects.filter(result__run=run_id).select_related(
            "result__run__customer", "result__run__invoice"
        )
        part = claim(parts.order_by("result", "first_id"))
        if part is not None:
            _prove(part, now=now)
    if part is not None:
        _finish_result(part.result_id, now=now)
    _finish_run(run_id, now=now)
    return part is not None


def prove_to_end(run: ProofRun, *, now: datetime) -> ProofRun:
    """Prove all parts of a run here, one after the other."""
    while prove_part(run.pk, now=now):
        pass
    run.refresh_from_db()
    return run


def _prove(part: ProofPart, *, now: datetime) -> None:
    started = time.monotonic()
    try:
        with transaction.atomic():  # so that the failure of a statement can be recorded
            findings = CHECKS[ProofKind(part.result.kind)].prove(part.result.run, Part(part.first_id, part.last_id))
    except Exception as error:
        log.exception("The proof “%s” failed at %s", part.result.get_kind_display(), part)
        name = f"{part} of {part.result.scope}"
        found = [not_proved(ProofSubject.PART, part.pk, name, unexpected_error(error).splitlines()[0])]
        findings = Findings(checked=1, differing=1, found=found)
    ProofDifference.objects.bulk_create(_rows(part.result, findings))
    part.checked, part.waiting, part.differing = findings.checked, findings.waiting, findings.differing
    part.seconds, part.finished_at = time.monotonic() - started, now
    part.save()


def _rows(result: ProofResult, findings: Findings) -> Iterator[ProofDifference]:
    for found in findings.found[:MOST_DIFFERENCES]:
        yield ProofDifference(
            result=result,
            subject=found.subject,
            subject_id=found.subject_id,
            name=found.name[:255],
            figure=found.figure[:64],
            stated=found.stated[:255],
            calculated=found.calculated[:255],
        )


@transaction.atomic
def _finish_result(result_id: int, *, now: datetime) -> None:
    """Add up a result's parts once all of them are finished. Safe to repeat and to run concurrently."""
    result = ProofResult.objects.select_for_update().get(pk=result_id)
    if result.finished_at is not None or result.parts.filter(finished_at=None).exists():
        return
    names = ("checked", "waiting", "differing", "seconds")
    sums = result.parts.aggregate(**{f"{name}_sum": Sum(name) for name in names})
    for name in names:
        setattr(result, name, sums[f"{name}_sum"] or 0)
    result.finished_at = now
    result.save()
    result.parts.all().delete()


@transaction.atomic
def _finish_run(run_id: int, *, now: datetime) -> None:
    run = ProofRun.objects.select_for_update().get(pk=run_id)
    if run.finished_at is None and not run.results.filter(finished_at=None).exists():
        run.finished_at = now
        run.save(update_fields=["finished_at"])
        update_alarm(run, now=now)
