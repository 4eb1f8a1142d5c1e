"""A subscription's agreed terms beside the list: each price, and what a whole period costs by both."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.invoicing.whole_period import WholePeriod, whole_period_under
from billing.money import exact
from catalog.models import Entitlement, PlanVersion, Price
from catalog.selectors import entitlements_by_version, prices_by_version
from catalog.wording import describe_free_tier, describe_price
from customers.models import Subscription
from customers.subscriptions import get_phase_at


@dataclass(frozen=True, slots=True)
class DealRow:
    """A price or the free units of a feature, by the list and as agreed. Blank if there is none."""

    label: str
    listed: str
    agreed: str

    @property
    def is_agreed(self) -> bool:
        return self.listed != self.agreed


@dataclass(frozen=True, slots=True)
class Deal:
    """The terms in force at a moment. The totals are those of the last whole period's usage, or of the current one."""

    version: PlanVersion
    rows: Sequence[DealRow]
    by_list: WholePeriod | None = None
    as_agreed: WholePeriod | None = None

    @property
    def below_list(self) -> Decimal | None:
        """How much less a whole period costs than by the list; negative if it costs more, None if unknown."""
        if self.by_list is None or self.as_agreed is None:
            return None
        return self.by_list.total - self.as_agreed.total

    @property
    def percent_below_list(self) -> Decimal | None:
        if self.below_list is None or self.by_list is None or self.by_list.total <= 0:
            return None
        with exact():
            return round(self.below_list / self.by_list.total * 100, 1)


def deal_of(subscription: Subscription, *, now: datetime) -> Deal | None:
    """Return the deal in force, or of the start if that is later; None if the terms are the list's or have ended."""
    phase = get_phase_at(subscription, max(now, subscription.started_at))
    if phase is None or phase.plan_version.terms.base is None:
        return None
    version, base = phase.plan_version.terms, phase.plan_version.terms.base
    return Deal(
        version,
        [*_price_rows(subscription, version, base), *_free_rows(version, base)],
        by_list=whole_period_under(subscription.pk, base.pk, now=now),
        as_agreed=whole_period_under(subscription.pk, version.pk, now=now),
    )


def _price_rows(subscription: Subscription, version: PlanVersion, base: PlanVersion) -> list[DealRow]:
    prices = prices_by_version([version, base])
    terms = (subscription.currency, subscription.interval, subscription.interval_count)

    def fitting(version_id: int) -> dict[int, Price]:
        rows = prices.get(version_id, [])
        return {row.list_id: row for row in rows if (row.currency, row.interval, row.interval_count) == terms}

    listed, agreed = fitting(base.pk), fitting(version.pk)
    return [
        DealRow(
            (agreed.get(pk) or listed[pk]).label,
            describe_price(listed[pk]) if pk in listed else "",
            describe_price(agreed[pk]) if pk in agreed else "",
        )
        for pk in dict.fromkeys([*listed, *agreed])
    ]


def _free_rows(version: PlanVersion, base: PlanVersion) -> list[DealRow]:
    free_tiers = entitlements_by_version([version, base])
    listed, agreed = free_tiers.get(base.pk, {}), free_tiers.get(version.pk, {})
    return [
        DealRow(f"{row.feature.name}, included", _included(listed.get(pk)), _included(row))
        for pk, row in agreed.items()
    ]


def _included(free_tier: Entitlement | None) -> str:
    if free_tier is None:
        return ""
    return describe_free_tier(free_tier) if free_tier.is_enabled else "Excluded"
