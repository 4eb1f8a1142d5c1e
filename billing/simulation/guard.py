"""Ask for a simulation before prices of live subscriptions are published, and for a second person above limits."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Q

from billing.models import CompanyProfile, SimulatedSelection, Simulation, SimulationState
from billing.simulation.running import progress_of
from billing.simulation.selection import on_plan
from catalog.models import PlanVersion
from catalog.publishing import fingerprint
from config.office.wording import plural
from config.refusals import Refused


class SimulationNeeded(Refused):
    """The version has live subscriptions, and no simulation of its prices is recent enough."""


def check_publishing(version: PlanVersion, now: datetime) -> list[str]:
    """Return which of the company's limits a version's simulation exceeds: a second person must approve then.

    Nothing is asked without a limit of days in the company profile, or without live subscriptions of the plan. Raises
    `SimulationNeeded` if the plan's subscriptions weren't simulated on these prices within the limit of days.
    """
    profile = CompanyProfile.current()
    if profile.simulation_days is None or version.plan.is_addon:
        return []
    subscriptions = on_plan(version.plan_id, now).count()
    if not subscriptions:
        return []
    simulation = latest_simulation(version, since=now - timedelta(days=profile.simulation_days))
    if simulation is None:
        raise SimulationNeeded(
            f"{version.plan} has {plural(subscriptions, 'live subscription')}. Simulate {version} for the plan's "
            f"subscriptions first: a simulation counts for {plural(profile.simulation_days, 'day')}, if the prices "
            "haven't changed since."
        )
    return list(exceeded_limits(simulation, profile))


def latest_simulation(version: PlanVersion, *, since: datetime) -> Simulation | None:
    """Return the latest finished simulation of a version as it is now, for all subscriptions of its plan."""
    of_plan = Q(selection=SimulatedSelection.PLAN, plan=version.plan_id) | Q(selection=SimulatedSelection.ALL)
    simulations = Simulation.objects.filter(
        of_plan,
        state=SimulationState.FINISHED,
        version=version,
        version_checksum=fingerprint(version),
        started_at__gte=since,
    )
    return simulations.order_by("-started_at", "-pk").first()


def exceeded_limits(simulation: Simulation, profile: CompanyProfile) -> Iterable[str]:
    """Yield the limits of the company profile that a simulation exceeds, in words.

    What couldn't be simulated has no amounts to compare, so it exceeds any limit. With 10% in total, 25% for a customer
    and 50 customers who pay more, a simulation exceeds from none to four limits.
    """
    limits = (profile.most_total_percent, profile.most_customer_percent, profile.most_pay_more)
    failed = progress_of(simulation).failed
    if failed and any(limit is not None for limit in limits):
        yield f"{plural(failed, 'subscription')} couldn't be simulated."
    for row in simulation.results:
        yield from _exceeded_in_currency(row, profile)
    losers, limit = sum(row["pay_more"] for row in simulation.results), profile.most_pay_more
    if limit is not None and losers > limit:
        yield f"{plural(losers, 'customer')} would pay more; the limit is {limit:,}."


def _exceeded_in_currency(row: dict[str, Any], profile: CompanyProfile) -> Iterable[str]:
    currency, invoiced, change = row["currency"], Decimal(row["invoiced"]), Decimal(row["change"])
    total_limit, customer_limit = profile.most_total_percent, profile.most_customer_percent
    if total_limit is not None and abs(change) * 100 > total_limit * abs(invoiced):
        yield f"The total in {currency} would change by more than {total_limit}%."
    largest = row["largest_percent"]
    if customer_limit is not None and (row["bands"][-1] or Decimal(largest) > customer_limit):
        yield f"What a customer pays in {currency} would change by more than {customer_limit}%."
