"""Which windows of a billing period each usage price charges, and what the meter is asked about them. Pure.

Usage is never prorated. Within a period every plan version in force rates its own windows. A version that was paused
and resumed keeps one line over its windows, so that neither tiers nor free units begin anew. In a trial all units are
free, and the line says so; usage during a pause isn't billed. A cumulative feature is charged once a period, at the
end of its last active window, by the version in force then, whose minimum shrinks by all days it was priced on.

Where an invoice begins within a billing period, as the one before was to be the last, it charges what the whole period
comes to by its end, less what it came to by its start. So free units, tiers and minimums don't begin anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from billing.charges.allowances import NO_ALLOWANCE, Grant, grants
from billing.charges.next_invoice import OPENING, NextInvoice
from billing.charges.subscription import ACTIVE, TRIAL, BilledSubscription, PlanTerms, UsagePrice
from customers.periods import Period


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to the meter: a feature's usage in a window."""

    feature_id: int
    window: Period


@dataclass(frozen=True, slots=True)
class UsageCharge:
    """One usage price over the windows in which it applies, cut into allowances.

    `active` are the days that what is agreed for a whole period is due for: the windows, and of a running total, which
    is read in the last of them, all windows of the period in which its feature was priced. `less` is what the same
    period came to up to where this charge begins.
    """

    price: UsagePrice
    plan: PlanTerms
    windows: tuple[Period, ...]
    grants: tuple[Grant, ...]
    is_trial: bool = False
    active: tuple[Period, ...] = ()
    less: "UsageCharge | None" = None

    @property
    def span(self) -> Period:
        return Period(self.windows[0].start, self.windows[-1].end)

    @property
    def needs_events(self) -> bool:
        """Whether single events are priced, here or in what is less, which another version may price so."""
        own = self.price.terms.needs_events and not self.is_trial
        return own or (self.less is not None and self.less.needs_events)

    def asks(self) -> list[Ask]:
        """List what the meter is asked: every grant's windows, then what was used before it; then what is less."""
        found: list[Ask] = []
        for grant in self.grants:
            spans = grant.windows if grant.used_in is None else (*grant.windows, grant.used_in)
            found += [Ask(self.price.feature.id, span) for span in spans]
        return found if self.less is None else found + self.less.asks()


def charges(subscription: BilledSubscription, step: NextInvoice, *, until: datetime | None = None) -> list[UsageCharge]:
    """List the usage prices that the step's period is charged by. `until` leaves out what comes after a moment."""
    if step.kind == OPENING or step.period.start >= step.period.end:
        return []
    start, end = step.period.start, step.period.end if until is None else min(until, step.period.end)
    if end <= start:
        return []
    begun = max(subscription.schedule.boundary(subscription.schedule.index_at(start)), subscription.started_at)
    found = _charges(subscription, Period(begun, end))
    if begun >= start:
        return found
    before = _charges(subscription, Period(begun, start))
    return [replace(charge, less=_same(charge, before)) for charge in found]


def _same(charge: UsageCharge, among: Sequence[UsageCharge]) -> UsageCharge | None:
    """Find the charge of the same price; of a running total, which is charged once a period, of its feature."""
    for each in among:
        same_price = (each.price.price_id, each.is_trial) == (charge.price.price_id, charge.is_trial)
        if same_price or (each.price.feature.is_cumulative and each.price.feature.id == charge.price.feature.id):
            return each
    return None


def _charges(subscription: BilledSubscription, period: Period) -> list[UsageCharge]:
    parts: dict[tuple[int, bool], _Part] = {}
    active: dict[int, tuple[Period, ...]] = {}
    for phase, window in subscription.windows(period, ACTIVE, TRIAL):
        plan = subscription.plan(phase.version_id)
        for price in plan.usage:
            part = parts.setdefault((price.price_id, phase.kind == TRIAL), _Part(price, plan, phase.kind == TRIAL))
            part.windows = _joined(part.windows, window)
            if not part.is_trial:
                active[price.feature.id] = _joined(active.get(price.feature.id, ()), window)
    found = [_charge(subscription, part, active.get(part.price.feature.id, ())) for part in parts.values()]
    return [charge for charge in found if _is_last_word(charge, found)]


@dataclass(slots=True)
class _Part:
    """Where a price applies within a period."""

    price: UsagePrice
    plan: PlanTerms
    is_trial: bool
    windows: tuple[Period, ...] = ()


def _joined(windows: tuple[Period, ...], window: Period) -> tuple[Period, ...]:
    if windows and windows[-1].end == window.start:
        return (*windows[:-1], Period(windows[-1].start, window.end))
    return (*windows, window)


def _charge(subscription: BilledSubscription, part: _Part, priced: tuple[Period, ...]) -> UsageCharge:
    feature, plan = part.price.feature, part.plan
    windows = part.windows[-1:] if feature.is_cumulative else part.windows
    active = priced if feature.is_cumulative and not part.is_trial else windows
    allowance = plan.allowances.get(feature.id, NO_ALLOWANCE)
    cut = [Grant(windows, None)]
    if not part.is_trial:
        cut = grants(subscription, allowance, feature, plan.version_id, windows, active=active)
    return UsageCharge(part.price, plan, windows, tuple(cut), part.is_trial, active)


def _is_last_word(charge: UsageCharge, found: Sequence[UsageCharge]) -> bool:
    """A running total is stated once a period: by the last version, active or in trial, that prices the feature."""
    feature = charge.price.feature
    if not feature.is_cumulative:
        return True
    rivals = [each for each in found if each.price.feature.id == feature.id]
    return charge.span.end == max(each.span.end for each in rivals)
