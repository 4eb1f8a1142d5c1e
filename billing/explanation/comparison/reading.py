"""Read invoices as sides of a comparison: many at once, with a number of queries that doesn't depend on how many."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any

from billing.explanation.comparison.values import (
    ChargedFee,
    ComparedLine,
    ComparedSide,
    Contract,
    OfferedUsage,
    UsageRating,
    UsedQuantity,
)
from billing.invoicing.plan_terms import Catalog, Version, load_catalog, terms_of
from billing.kinds import LineKind
from billing.lines import Charge
from billing.models import Invoice, InvoiceLine
from billing.money import ZERO, exact
from billing.rating.terms import Terms
from catalog.kinds import EntitlementReset
from catalog.models.prices import PriceKind
from customers.kinds import PhaseKind
from customers.models import Subscription, SubscriptionPhase
from customers.periods import Interval


class SideReader:
    """Invoices with their lines, the phases of their subscriptions, and the plan versions of both. Nine queries."""

    def __init__(self, invoices: Iterable[Invoice]) -> None:
        invoices = {invoice.pk: invoice for invoice in invoices}.values()
        self._lines: dict[int, list[InvoiceLine]] = defaultdict(list)
        rows = InvoiceLine.objects.filter(invoice__in=[invoice.pk for invoice in invoices])
        for line in rows.select_related("feature").order_by("invoice", "position"):
            self._lines[line.invoice_id].append(line)
        self._subscriptions = Subscription.objects.in_bulk(
            {invoice.subscription_id for invoice in invoices if invoice.subscription_id}
        )
        self._phases: dict[int, list[SubscriptionPhase]] = defaultdict(list)
        phases = SubscriptionPhase.objects.filter(subscription__in=self._subscriptions, superseded_at=None)
        for phase in phases.exclude(kind=PhaseKind.PAUSED).order_by("starts_at"):
            self._phases[phase.subscription_id].append(phase)
        version_ids = {line.plan_version_id for lines in self._lines.values() for line in lines}
        version_ids |= {phase.plan_version_id for phases in self._phases.values() for phase in phases}
        self._catalog = load_catalog(version_id for version_id in version_ids if version_id is not None)

    def side(self, invoices: Sequence[Invoice]) -> ComparedSide:
        """Return the lines of invoices in one currency, with what is in force in their periods."""
        lines = [
            read_line(line, invoice.subscription_id, self._catalog, self._terms)
            for invoice in invoices
            for line in self._lines[invoice.pk]
        ]
        contracts: dict[int | None, dict[int, Contract]] = defaultdict(dict)
        offers: dict[Hashable, OfferedUsage] = {}
        for line in lines:
            if line.contract is not None:
                contracts[line.subscription_id][line.contract.version_id] = line.contract
        for invoice in invoices:
            for phase in self._phases_of(invoice):
                version = self._catalog[phase.plan_version_id]
                contracts[invoice.subscription_id][version.row.pk] = contract_of(version)
                if phase.kind == PhaseKind.ACTIVE:
                    subscription = self._subscriptions[phase.subscription_id]
                    interval = Interval(subscription.interval, subscription.interval_count)
                    offers |= dict(offers_of(version, subscription.pk, subscription.currency, interval))
        return ComparedSide(lines, {key: tuple(rows.values()) for key, rows in contracts.items()}, offers)

    def _phases_of(self, invoice: Invoice) -> Iterator[SubscriptionPhase]:
        """Yield the phases in the invoice's period. A period without length has the phase at its start."""
        start, end = invoice.period_start, invoice.period_end
        if start is None or end is None:
            return
        for phase in self._phases.get(invoice.subscription_id or 0, ()):
            if (phase.starts_at < end or phase.starts_at == start) and (phase.ends_at is None or phase.ends_at > start):
                yield phase

    @cached_property
    def _terms(self) -> dict[int, Terms]:
        return usage_terms(self._catalog)


def offers_of(
    version: Version, subscription_id: int, currency: str, interval: Interval
) -> Iterator[tuple[Hashable, OfferedUsage]]:
    """Yield the usage prices whose free units are granted once a period, which can be rated without usage."""
    plan = version.terms(currency, interval)
    for price in plan.usage:
        allowance = plan.allowance(price.feature.id)
        if allowance.reset == EntitlementReset.PERIOD and not allowance.is_prorated:
            rating = UsageRating(price.terms, allowance.limit)
            yield (subscription_id, price.feature.id), OfferedUsage(contract_of(version), price.price_id, rating)


def usage_terms(catalog: Catalog) -> dict[int, Terms]:
    """Return the terms of all usage prices of plan versions, by the price's id."""
    return {
        price.pk: terms_of(price, tiers)
        for version in catalog.values()
        for price, tiers in version.prices
        if price.kind == PriceKind.USAGE
    }


def read_line(
    line: InvoiceLine | Charge, subscription_id: int | None, catalog: Catalog, terms: Mapping[int, Terms]
) -> ComparedLine:
    """Read a saved line, or a charge that isn't saved. `terms` are those of the usage prices, by their ids."""
    kind = LineKind(line.kind)
    version = catalog.get(line.plan_version_id or 0)
    return ComparedLine(
        kind=kind,
        amount=line.amount,
        name=_name(kind, line),
        subject=_subject(kind, line),
        subscription_id=subscription_id,
        contract=contract_of(version) if version is not None else None,
        price_id=line.price_id,
        usage=_read_usage(line, terms) if kind == LineKind.USAGE else None,
        fee=_read_fee(line) if kind == LineKind.FEE else None,
    )


def _read_usage(line: InvoiceLine | Charge, terms_by_price: Mapping[int, Terms]) -> UsedQuantity:
    terms = terms_by_price.get(line.price_id or 0)
    if terms is None or "less" in line.computation:
        return UsedQuantity(line.quantity, line.free_units)
    is_trial = bool(line.computation.get("trial"))
    return UsedQuantity(line.quantity, line.free_units, UsageRating(terms, _available(line), is_trial))


def contract_of(version: Version) -> Contract:
    """Return a plan version as the contract of a charge."""
    return Contract(version.row.pk, version.row.plan_id, str(version.row), version.row.base_id is not None)


def _available(line: InvoiceLine | Charge) -> Decimal | None:
    """Return the free units available to the line's usage. Of several grants, such as those of days, what was used."""
    windows = line.computation.get("windows", [])
    if len(windows) != 1:
        return line.free_units
    [window] = windows
    if window["limit"] is None:
        return None
    before = Decimal(window.get("before", {}).get("quantity", "0"))
    with exact():
        return max(Decimal(window["limit"]) - max(before, ZERO), ZERO)


def _read_fee(line: InvoiceLine | Charge) -> ChargedFee | None:
    days: dict[str, Any] = line.computation.get("days", {})
    if line.unit_amount is None or not days.get("of"):
        return None
    return ChargedFee(line.unit_amount, line.quantity, days["charged"], days["of"], line.computation.get("periods", 1))


def _name(kind: LineKind, line: InvoiceLine | Charge) -> str:
    """Return the short name of what a line charges: the label of a price, a coupon, a tax."""
    own: dict[str, Any] = line.computation.get(str(kind), {})
    named = own if kind in (LineKind.DISCOUNT, LineKind.TAX) else line.computation
    return str(named.get("name") or named.get("label") or line.description.partition(" · ")[0])


def _subject(kind: LineKind, line: InvoiceLine | Charge) -> Hashable:
    """Return what a line is matched by: a feature, the code of a discount or tax, or its name."""
    if kind == LineKind.USAGE:
        return line.feature_id
    if kind in (LineKind.DISCOUNT, LineKind.TAX):
        return str(line.computation.get(str(kind), {}).get("code", ""))
    return line.feature_id, _name(kind, line)
