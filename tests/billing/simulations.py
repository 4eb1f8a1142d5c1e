"""Simulations that are calculated at once, as the tasks of workers do."""

from datetime import datetime

from billing.models import Simulation
from billing.simulation.running import simulate_chunk


def simulate_to_end(simulation: Simulation, *, now: datetime) -> Simulation:
    """Calculate all chunks of a simulation, one after the other."""
    while simulate_chunk(simulation.pk, now=now):
        pass
    simulation.refresh_from_db()
    return simulation
