"""Which windows of a billing period each usage price charges, and which usage the meter has to count. Pure.

Usage is never prorated. Every price that is in force in a period rates the usage of its own windows. A price that was
paused and resumed has one line for all its windows, so its tiers and free units don't start again. The same goes for a
price that a change of agreed terms keeps, unless its free units change. During a trial all units are free, and the line
says so; usage during a pause isn't billed. A cumulative feature is charged once a period, at the end of its last active
window, by the version in force then. Its minimum is prorated to all days on which the feature was priced.

An invoice that begins within a billing period, because the subscription was to end there, charges the usage of the
whole period minus the usage that is already invoiced. So free units, tiers and minimums don't start again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from billing.charges.allowances import Grant, list_grants
from billing.charges.next_invoice import NextInvoice
from billing.charges.subscription import Allowance, BilledSubscription, PlanTerms, UsagePrice
from billing.kinds import IN_ADVANCE_KINDS
from customers.kinds import PhaseKind
from customers.periods import Period


@dataclass(frozen=True, slots=True)
class MeterQuery:
    """Usage that the meter has to count: a feature's in a window."""

    feature_id: int
    window: Period


type ChargeKey = tuple[int, Allowance | None]


@dataclass(frozen=True, slots=True)
class UsageCharge:
    """One usage price over the windows in which it applies, divided into allowances.

    `active` are the windows that a minimum commitment is due for. They are `windows`, except for a cumulative feature,
    which is read in its last window only: then they are all windows of the period in which the feature was priced.
    `charged_before` is the charge for the part of the billing period that is already invoiced.
    """

    price: UsagePrice
    plan: PlanTerms
    windows: tuple[Period, ...]
    grants: tuple[Grant, ...]
    is_trial: bool = False
    active: tuple[Period, ...] = ()
    charged_before: "UsageCharge | None" = None

    @property
    def span(self) -> Period:
        return Period(self.windows[0].start, self.windows[-1].end)

    @property
    def key(self) -> "ChargeKey":
        return _key(self.plan, self.price, is_trial=self.is_trial)

    @property
    def needs_events(self) -> bool:
        """Whether single events are priced, here or in `charged_before`, which can be of another plan version."""
        if self.price.terms.needs_events and not self.is_trial:
            return True
        return self.charged_before is not None and self.charged_before.needs_events

    def meter_queries(self) -> list[MeterQuery]:
        """List each grant's windows and the window of its earlier usage; then the same of `charged_before`."""
        queries: list[MeterQuery] = []
        for grant in self.grants:
            spans = grant.windows if grant.used_in is None else (*grant.windows, grant.used_in)
            queries += [MeterQuery(self.price.feature.id, span) for span in spans]
        return queries if self.charged_before is None else queries + self.charged_before.meter_queries()


def list_usage_charges(
    subscription: BilledSubscription, invoice: NextInvoice, *, until: datetime | None = None
) -> list[UsageCharge]:
    """List the usage prices that apply in the invoice's period. `until` leaves out what comes after a moment."""
    if invoice.kind in IN_ADVANCE_KINDS or invoice.period.start >= invoice.period.end:
        return []
    start, end = invoice.period.start, invoice.period.end if until is None else min(until, invoice.period.end)
    if end <= start:
        return []
    period_start = max(subscription.schedule.boundary(subscription.schedule.index_at(start)), subscription.started_at)
    charges = _charges_in(subscription, Period(period_start, end))
    if period_start >= start:
        return charges
    charges_before = _charges_in(subscription, Period(period_start, start))
    return [replace(charge, charged_before=_find_same_price(charge, charges_before)) for charge in charges]


def _find_same_price(charge: UsageCharge, charges: Sequence[UsageCharge]) -> UsageCharge | None:
    """Find the charge of the same price and free units; for a cumulative feature, its only charge of a period."""
    feature = charge.price.feature
    for other in charges:
        if other.key == charge.key or (other.price.feature.is_cumulative and other.price.feature.id == feature.id):
            return other
    return None


def _charges_in(subscription: BilledSubscription, period: Period) -> list[UsageCharge]:
    price_windows: dict[ChargeKey, _PriceWindows] = {}
    active_by_feature: dict[int, tuple[Period, ...]] = {}
    for phase, window in subscription.windows(period, PhaseKind.ACTIVE, PhaseKind.TRIAL):
        plan, is_trial = subscription.plan(phase.version_id), phase.kind == PhaseKind.TRIAL
        for price in plan.usage:
            key = _key(plan, price, is_trial=is_trial)
            applied = price_windows.setdefault(key, _PriceWindows(price, plan, is_trial))
            applied.windows = _append_window(applied.windows, window)
            if not is_trial:
                active = active_by_feature.get(price.feature.id, ())
                active_by_feature[price.feature.id] = _append_window(active, window)
    charges = [
        _usage_charge(subscription, applied, active_by_feature.get(applied.price.feature.id, ()))
        for applied in price_windows.values()
    ]
    return [charge for charge in charges if _is_charged(charge, charges)]


def _key(plan: PlanTerms, price: UsagePrice, *, is_trial: bool) -> ChargeKey:
    """Return what usage is rated together by: the price and its free units. In a trial all units are free."""
    return price.price_id, None if is_trial else plan.allowance(price.feature.id)


@dataclass(slots=True)
class _PriceWindows:
    """The windows of a period in which a price applies."""

    price: UsagePrice
    plan: PlanTerms
    is_trial: bool
    windows: tuple[Period, ...] = ()


def _append_window(windows: tuple[Period, ...], window: Period) -> tuple[Period, ...]:
    if windows and windows[-1].end == window.start:
        return (*windows[:-1], Period(windows[-1].start, window.end))
    return (*windows, window)


def _usage_charge(
    subscription: BilledSubscription, applied: _PriceWindows, feature_active: tuple[Period, ...]
) -> UsageCharge:
    feature, plan = applied.price.feature, applied.plan
    windows = applied.windows[-1:] if feature.is_cumulative else applied.windows
    active = feature_active if feature.is_cumulative and not applied.is_trial else windows
    grants = [Grant(windows, None)]
    if not applied.is_trial:
        grants = list_grants(subscription, plan.allowance(feature.id), applied.price, windows, active=active)
    return UsageCharge(applied.price, plan, windows, tuple(grants), applied.is_trial, active)


def _is_charged(charge: UsageCharge, charges: Sequence[UsageCharge]) -> bool:
    """Return whether the charge counts. A cumulative feature is charged once a period: by the last version with a price
    for it, active or in trial.
    """
    feature = charge.price.feature
    if not feature.is_cumulative:
        return True
    return charge.span.end == max(other.span.end for other in charges if other.price.feature.id == feature.id)
