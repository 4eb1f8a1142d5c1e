"""Measure simulated periods per second, compared with the invoices of a billing run, and the workers' memory."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from billing.models import Simulation, SimulationState
from billing.simulation.running import SimulationInputs, start_simulation
from billing.tasks import enqueue_simulations
from catalog.models import PlanVersion, Price
from catalog.publishing import get_or_create_draft
from config.server.supervisor import CELERY_PROCESSES
from tests.bench import subscribers
from tests.bench.figures import Figure
from tests.bench.runs import SMALL, RunFigures, bill, peak_mib, run_worker

PERIODS = 3
FEW = SMALL // 4


def simulations() -> Iterator[Figure]:
    """Bill three periods of 10,000 subscriptions, and simulate them on a draft with other prices, by two workers."""
    plan = subscribers.make_plan()
    draft = make_draft(plan)
    subscribe_and_bill(plan, FEW)
    few_peak, _ = simulate(draft)
    run = subscribe_and_bill(plan, SMALL - FEW)
    peak, seconds = simulate(draft)
    billed_per_s, simulated_per_s = run.run.invoices_made / run.seconds, SMALL * PERIODS / seconds
    data = {
        "subscriptions": SMALL,
        "periods": SMALL * PERIODS,
        "simulated_per_s": round(simulated_per_s),
        "invoices_per_s": round(billed_per_s),
        "workers": CELERY_PROCESSES,
    }
    yield Figure("simulation_ratio", simulated_per_s / billed_per_s, "of a run", 0.5, data=data)
    memory = {"peak_mib_at_2500": round(few_peak, 1), "peak_mib": round(peak, 1)}
    yield Figure("simulation_memory_ratio", peak / few_peak, "10k ÷ 2.5k", 1.1, True, memory)


def make_draft(plan: PlanVersion) -> PlanVersion:
    """Make the plan's draft, with a fee of $25 instead of $20."""
    draft = get_or_create_draft(plan.plan, by=None)
    Price.objects.filter(version=draft, kind="fixed").update(unit_amount=Decimal(25))
    return draft


def subscribe_and_bill(plan: PlanVersion, count: int) -> RunFigures:
    """Subscribe more customers with usage of three months, and bill them."""
    with run_worker() as process:
        subscribers.subscribe(plan, count, now=datetime.now(UTC), months=PERIODS)
        return bill(process)


def simulate(draft: PlanVersion) -> tuple[float, float]:
    """Simulate the plan's subscriptions with new workers; return their peak memory, and the seconds it took."""
    with run_worker() as process:
        inputs = SimulationInputs(version=draft, plan=draft.plan, periods=PERIODS)
        started = time.perf_counter()
        simulation = start_simulation(inputs, now=datetime.now(UTC), by=None)
        enqueue_simulations(times=CELERY_PROCESSES)
        while Simulation.objects.filter(pk=simulation.pk, state=SimulationState.RUNNING).exists():
            time.sleep(0.02)
        seconds = time.perf_counter() - started
        simulation.refresh_from_db()
        [figures] = simulation.results
        if figures["periods"] != simulation.subscriptions * PERIODS or figures["problems"]:
            raise SystemExit(f"Wrong: {figures}")
        return peak_mib(process), seconds
