"""Compare simulated periods with what was invoiced, and build their rows."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from billing import wording
from billing.charges.subscription import BilledSubscription
from billing.explanation.comparison.compare import compare
from billing.explanation.comparison.reading import contract_of, offers_of, read_line, usage_terms
from billing.explanation.comparison.values import ComparedLine, ComparedSide, Comparison, Contract, OfferedUsage
from billing.invoicing.compute import ComputedInvoice
from billing.kinds import COMPUTED_KINDS
from billing.lines import Charge
from billing.models import InvoiceLine, Simulation, SimulationInvoice
from billing.money import ZERO
from billing.rating.terms import Terms
from billing.simulation.replay import Replay, Replayed
from config.db.bulk_insert import new_row
from customers.kinds import PhaseKind
from customers.periods import Period


def build_rows(simulation: Simulation, replayed: Replayed) -> list[SimulationInvoice]:
    """Return the unsaved rows of simulated periods, in order; one row with the reason for what can't be simulated."""
    reader = _Reader(replayed, usage_terms(replayed.scenario.catalog))
    rows = []
    for replay in replayed.replays:
        if replay.problem:
            rows.append(problem_row(simulation, replay.subscription_id, replay.current, replay.problem))
            continue
        rows += [
            _period_row(simulation, replay, index, reader.compare(replay, index))
            for index in range(replay.first, replay.last + 1)
        ]
    return rows


def problem_row(
    simulation: Simulation, subscription_id: int, subscription: BilledSubscription, problem: str
) -> SimulationInvoice:
    """Return the unsaved row of a subscription that can't be simulated."""
    columns = {
        "simulation_id": simulation.pk,
        "subscription_id": subscription_id,
        "customer_id": subscription.customer_id,
        "currency": subscription.currency,
        "problem": problem,
    }
    return new_row(SimulationInvoice, columns)


def _period_row(simulation: Simulation, replay: Replay, index: int, compared: "ComparedPeriod") -> SimulationInvoice:
    period, invoiced, simulated = replay.period(index), compared.before.total, compared.after.total
    change = simulated - invoiced
    columns = {
        "simulation_id": simulation.pk,
        "subscription_id": replay.subscription_id,
        "customer_id": replay.current.customer_id,
        "currency": replay.current.currency,
        "period_start": period.start,
        "period_end": period.end,
        "invoiced": invoiced,
        "simulated": simulated,
        "change": change,
        "changes_sign": invoiced > 0 > simulated or invoiced < 0 < simulated,
        "exceeds_limit": _exceeds(change, invoiced, simulation.limit_percent),
        "lines": list(_lines(compared)),
        "parts": list(_parts(compared.comparison)),
    }
    return new_row(SimulationInvoice, columns)


def _exceeds(change: Decimal, invoiced: Decimal, limit_percent: Decimal | None) -> bool:
    """Tell whether a change is more than the limit. Of nothing, every change is.

    With a limit of 20%, $100.00 can become $120.00, and not $120.01.
    """
    return limit_percent is not None and abs(change) * 100 > limit_percent * abs(invoiced)


@dataclass(frozen=True, slots=True)
class ComparedPeriod:
    """Both sides of a period, and the parts of their difference."""

    before: ComparedSide
    after: ComparedSide
    comparison: Comparison | None


class _Reader:
    """Reads both sides of simulated periods. `terms` are those of all usage prices, by their ids."""

    def __init__(self, replayed: Replayed, terms: Mapping[int, Terms]) -> None:
        self._saved = replayed.lines
        self._catalog = replayed.scenario.catalog
        self._terms = terms

    def compare(self, replay: Replay, index: int) -> ComparedPeriod:
        """Compare the invoices of a period with the simulated ones."""
        period, computed = replay.period(index), replay.computed[index]
        saved = [line for invoice in replay.actual[index] for line in self._saved[invoice.pk]]
        before_lines, after_lines = self._read(replay, saved), self._read(replay, _charges(computed))
        if before_lines == after_lines:
            side = ComparedSide(before_lines)
            return ComparedPeriod(side, side, None)
        before = self._side(replay.current, period, before_lines)
        simulated = computed[-1].request.subscription if computed else replay.current
        after = self._side(simulated, period, after_lines)
        return ComparedPeriod(before, after, compare(before, after, replay.current.currency))

    def _read(self, replay: Replay, lines: Iterable[InvoiceLine | Charge]) -> list[ComparedLine]:
        return [read_line(line, replay.subscription_id, self._catalog, self._terms) for line in lines]

    def _side(self, subscription: BilledSubscription, period: Period, lines: list[ComparedLine]) -> ComparedSide:
        contracts: dict[int, Contract] = {
            line.contract.version_id: line.contract for line in lines if line.contract is not None
        }
        offers: dict[Hashable, OfferedUsage] = {}
        for phase in subscription.phases:
            if phase.kind != PhaseKind.PAUSED and phase.within(period) is not None:
                version = self._catalog[phase.version_id]
                contract = contract_of(version)
                contracts[contract.version_id] = contract
                if phase.kind == PhaseKind.ACTIVE:
                    interval = subscription.schedule.interval
                    offers |= offers_of(version, subscription.subscription_id, subscription.currency, interval)
        return ComparedSide(lines, {subscription.subscription_id: tuple(contracts.values())}, offers)


def _charges(computed: Iterable[ComputedInvoice]) -> Iterator[InvoiceLine | Charge]:
    for invoice in computed:
        yield from invoice.request.kept
        yield from invoice.lines
        yield from invoice.adjusted.lines


def _lines(compared: ComparedPeriod) -> Iterator[list[str]]:
    """Yield each charge with its amounts invoiced and simulated. Lines that people wrote are named by their kind."""
    amounts: dict[Hashable, tuple[ComparedLine, list[Decimal]]] = {}
    for place, side in enumerate((compared.before, compared.after)):
        for line in side.lines:
            _, pair = amounts.setdefault((line.kind, line.subject), (line, [ZERO, ZERO]))
            pair[place] += line.amount
    for line, pair in amounts.values():
        name = line.name if line.kind in COMPUTED_KINDS else line.kind.label
        yield [line.kind.value, name, *map(wording.plain, pair)]


def _parts(comparison: Comparison | None) -> Iterator[list[Any]]:
    for part in comparison.parts if comparison is not None else ():
        yield [part.cause.value, part.name, wording.plain(part.amount), part.before, part.after]
