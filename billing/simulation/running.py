"""Start, calculate and cancel simulations: in chunks of subscriptions, each a transaction.

A chunk whose worker is killed is undone, and another worker claims it. The worker that finishes the last chunk adds up
the results. Nothing but the simulation is written, so it runs beside billing.
"""

import hashlib
import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Q, Sum

from billing.invoicing.subscriptions import load_terms
from billing.isolation import isolate, unexpected_error
from billing.models import (
    Coupon,
    SimulatedChange,
    SimulatedSelection,
    Simulation,
    SimulationChunk,
    SimulationInvoice,
    SimulationState,
)
from billing.models.simulations import MOST_LISTED, MOST_PERIODS
from billing.notifications import notify_simulation
from billing.simulation.replay import replay
from billing.simulation.results import add_up
from billing.simulation.rows import build_rows, problem_row
from billing.simulation.selection import select_subscriptions
from catalog.models import Plan, PlanVersion
from catalog.publishing import fingerprint
from config.audit import recorded
from config.db.bulk_insert import copy_in
from config.jobs import claim, cut_into_ranges, percent_done
from config.refusals import Refused
from customers.models import Subscription

log = logging.getLogger(__name__)

CHUNK_SIZE = 250  # subscriptions in a transaction
OF_CHUNK = ("subscription_id", "currency", "period_start", "period_end", "invoiced", "simulated", "problem", "lines")


class CannotSimulate(Refused):
    """The simulation has nothing to calculate, or its inputs don't belong together."""


@dataclass(frozen=True, slots=True)
class SimulationInputs:
    """What to simulate, for which subscriptions, and for how many of their last invoiced periods.

    With a `version` its prices, with a `coupon` its discount, with neither of them the present prices. The
    subscriptions are those of the `plan`, of the customers with the `segment` (a metadata key and its value), or those
    `listed` by id; without any of these, all.
    """

    version: PlanVersion | None = None
    coupon: Coupon | None = None
    replaces_agreed: bool = False
    plan: Plan | None = None
    segment: tuple[str, str] | None = None
    listed: Collection[str] = ()
    periods: int = 3
    limit_percent: Decimal | None = None


@dataclass(frozen=True, slots=True)
class SimulationProgress:
    """How many of a simulation's subscriptions are done, and how many of these failed."""

    done: int
    failed: int
    percent: int


@transaction.atomic
def start_simulation(inputs: SimulationInputs, *, now: datetime, by: User | None) -> Simulation:
    """Start a simulation; `simulate_chunk` calculates it. Raises `CannotSimulate`."""
    simulation = _make_simulation(inputs, now=now, by=by)
    _check_listed(inputs.listed)
    ranges = cut_into_ranges(select_subscriptions(simulation).values("pk"), CHUNK_SIZE)
    if not ranges:
        raise CannotSimulate("No live subscription is selected. Choose others.")
    simulation.subscriptions = sum(ids.size for ids in ranges)
    with recorded(by=by):
        simulation.save()
    SimulationChunk.objects.bulk_create(
        SimulationChunk(simulation=simulation, first_id=ids.first_id, last_id=ids.last_id, subscriptions=ids.size)
        for ids in ranges
    )
    return simulation


def _make_simulation(inputs: SimulationInputs, *, now: datetime, by: User | None) -> Simulation:
    if not 1 <= inputs.periods <= MOST_PERIODS:
        raise CannotSimulate(f"Choose from 1 to {MOST_PERIODS} periods.")
    if inputs.version is not None and inputs.coupon is not None:
        raise CannotSimulate("Simulate either a plan version or a discount.")
    if inputs.version is not None and inputs.version.plan.is_addon:
        raise CannotSimulate("Choose a version of a plan. Versions of add-ons can't be simulated.")
    simulation = Simulation(
        change=SimulatedChange.PRESENT,
        version=inputs.version,
        coupon=inputs.coupon,
        replaces_agreed=inputs.replaces_agreed and inputs.version is not None,
        selection=SimulatedSelection.ALL,
        listed=[],
        periods=inputs.periods,
        limit_percent=inputs.limit_percent,
        as_of=now,
        started_at=now,
        started_by=by,
        title="Present prices",
    )
    if inputs.version is not None:
        simulation.change, simulation.title = SimulatedChange.VERSION, str(inputs.version)
        simulation.version_checksum = fingerprint(inputs.version)
    elif inputs.coupon is not None:
        simulation.change, simulation.title = SimulatedChange.COUPON, f"Discount {inputs.coupon.code}"
    if inputs.plan is not None:
        simulation.selection, simulation.plan = SimulatedSelection.PLAN, inputs.plan
    elif inputs.segment is not None:
        simulation.selection = SimulatedSelection.SEGMENT
        simulation.segment_key, simulation.segment_value = inputs.segment
    elif inputs.listed:
        simulation.selection, simulation.listed = SimulatedSelection.LIST, sorted(set(inputs.listed))
    return simulation


def _check_listed(listed: Collection[str]) -> None:
    if len(listed) > MOST_LISTED:
        raise CannotSimulate(f"List at most {MOST_LISTED:,} subscriptions.")
    known = set(Subscription.objects.filter(public_id__in=list(listed)).values_list("public_id", flat=True))
    unknown = [name for name in listed if name not in known]
    if unknown:
        raise CannotSimulate(f"There is no subscription {', '.join(unknown[:5])}. List IDs such as subs_….")


@transaction.atomic
def cancel_simulation(simulation: Simulation, *, now: datetime, by: User | None) -> Simulation:
    """Cancel a running simulation. It keeps what is calculated so far, and gets no results. Safe to repeat."""
    locked = Simulation.objects.select_for_update().get(pk=simulation.pk)
    if locked.is_running:
        locked.state, locked.finished_at = SimulationState.CANCELED, now
        with recorded(by=by):
            locked.save(update_fields=["state", "finished_at"])
    return locked


def unfinished() -> list[int]:
    """List the simulations that aren't finished or canceled, oldest first."""
    running = Simulation.objects.filter(state=SimulationState.RUNNING)
    return list(running.order_by("started_at", "pk").values_list("pk", flat=True))


def progress_of(simulation: Simulation) -> SimulationProgress:
    """Return how far a simulation is."""
    finished = Q(finished_at__isnull=False)
    sums = simulation.chunks.aggregate(done=Sum("subscriptions", filter=finished), failed=Sum("failed"))
    done = sums["done"] or 0
    return SimulationProgress(done, sums["failed"] or 0, percent_done(done, simulation.subscriptions))


def simulate_chunk(simulation_id: int, *, now: datetime) -> int:
    """Calculate a simulation's next chunk in one transaction; return the number of its subscriptions.

    Chunks that other workers hold are skipped; 0 if there is no other. Safe to run concurrently.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        chunks = SimulationChunk.objects.filter(simulation=simulation_id, simulation__state=SimulationState.RUNNING)
        chunk = claim(chunks.select_related("simulation__version", "simulation__coupon").order_by("first_id"))
        if chunk is not None:
            _calculate(chunk, now=now)
    _finish_if_done(simulation_id, now=now)
    return 0 if chunk is None else chunk.subscriptions


def _calculate(chunk: SimulationChunk, *, now: datetime) -> None:
    selected = select_subscriptions(chunk.simulation).filter(pk__gte=chunk.first_id, pk__lte=chunk.last_id)
    ids = list(selected.order_by("pk").values_list("pk", flat=True))
    parts = isolate(ids, partial(_simulate, chunk.simulation), partial(_failure, chunk.simulation)) if ids else []
    rows = [row for part in parts for row in part]
    copy_in(rows)
    chunk.failed = sum(bool(row.problem) for row in rows)
    chunk.digest, chunk.finished_at = _digest(rows), now
    chunk.save(update_fields=["failed", "digest", "finished_at"])


def _simulate(simulation: Simulation, subscription_ids: Sequence[int]) -> list[SimulationInvoice]:
    return build_rows(simulation, replay(subscription_ids, simulation))


def _failure(simulation: Simulation, subscription_id: int, error: Exception) -> list[SimulationInvoice]:
    log.error("Subscription %s couldn't be simulated", subscription_id, exc_info=error)
    subscription = load_terms([subscription_id])[subscription_id]
    return [problem_row(simulation, subscription_id, subscription, unexpected_error(error))]


def _digest(rows: Sequence[SimulationInvoice]) -> str:
    """Return a hash of everything that was calculated, which is the same if nothing that it depends on changed."""
    values: list[list[Any]] = [[getattr(row, name) for name in OF_CHUNK] for row in rows]
    return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()


@transaction.atomic
def _finish_if_done(simulation_id: int, *, now: datetime) -> None:
    """Add up a simulation once all of its chunks are finished. Safe to repeat and to run concurrently."""
    simulation = Simulation.objects.select_for_update().get(pk=simulation_id)
    if not simulation.is_running or simulation.chunks.filter(finished_at=None).exists():
        return
    simulation.results = add_up(simulation)
    simulation.digest = _total_digest(simulation)
    simulation.state, simulation.finished_at = SimulationState.FINISHED, now
    with recorded(by=None):
        simulation.save(update_fields=["results", "digest", "state", "finished_at"])
    notify_simulation(simulation, now=now)


def _total_digest(simulation: Simulation) -> str:
    inputs = [
        *(simulation.change, simulation.version_id, simulation.version_checksum, simulation.coupon_id),
        *(simulation.replaces_agreed, simulation.selection, simulation.plan_id, simulation.segment_key),
        *(simulation.segment_value, simulation.listed, simulation.periods, str(simulation.limit_percent)),
    ]
    chunks = simulation.chunks.order_by("first_id").values_list("digest", flat=True)
    return hashlib.sha256(json.dumps([inputs, list(chunks)]).encode()).hexdigest()
