"""What a simulation changes: the plan version of subscriptions, or a discount for those who pay."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from billing.adjustments.conditions import Conditions
from billing.charges.subscription import Allowance, BilledSubscription, Phase, PlanTerms
from billing.invoicing.conditions import applied_coupon
from billing.invoicing.plan_terms import Catalog, Version, load_catalog
from billing.models import Coupon, Simulation
from billing.money import exact
from catalog.models import PlanVersion

SIMULATED_COUPON = -1  # the id of an application that isn't saved


@dataclass(slots=True)
class Scenario:
    """A simulation's change, with the plan versions that its subscriptions have.

    `catalog` also has the versions that the change makes: the simulated version together with a subscription's add-ons,
    under the negative id of the version with add-ons that it replaces.
    """

    catalog: Catalog
    version: Version | None = None
    replaces_agreed: bool = False
    coupon: Coupon | None = None
    _terms: dict[tuple[int, str, object], PlanTerms] = field(default_factory=dict)

    def apply(self, subscription: BilledSubscription, plan_id: int) -> None:
        """Put the phases of a plan under the simulated version. Earlier phases of other plans stay, and so do add-ons.

        Agreed terms stay unless the simulation replaces them.
        """
        if self.version is None:
            return
        phases = []
        for phase in subscription.phases:
            terms = self._terms_for(subscription, phase) if self._is_replaced(phase, plan_id) else None
            if terms is not None:
                subscription.plans[terms.version_id] = terms
                phase = replace(phase, version_id=terms.version_id)  # noqa: PLW2901  the phase of the scenario
            phases.append(phase)
        subscription.phases = tuple(phases)

    def _is_replaced(self, phase: Phase, plan_id: int) -> bool:
        row = self.catalog[phase.version_id].row
        without_addons = self.catalog[row.terms_id].row
        return row.plan_id == plan_id and (self.replaces_agreed or without_addons.base_id is None)

    def _terms_for(self, subscription: BilledSubscription, phase: Phase) -> PlanTerms:
        if self.version is None:
            raise ValueError("Only a version has terms")
        currency, interval = subscription.currency, subscription.schedule.interval
        old = self.catalog[phase.version_id]
        new = self.version.terms(currency, interval)
        if old.row.without_addons_id is None:
            return new
        key = (old.row.pk, currency, interval)
        if key not in self._terms:
            without = self.catalog[old.row.without_addons_id].terms(currency, interval)
            self._terms[key] = _with_addons(new, old.terms(currency, interval), without, version_id=-old.row.pk)
            self.catalog[-old.row.pk] = self.version
        return self._terms[key]

    def add_discount(self, conditions: Iterable[Conditions]) -> None:
        """Apply the simulated discount to every customer who pays, and let plans' discounts include the version."""
        made = frozenset(version_id for version_id in self.catalog if version_id < 0)
        for customer_conditions in conditions:
            for coupon in customer_conditions.coupons:
                if made and self.version is not None and self.version.row.pk in coupon.version_ids:
                    coupon.version_ids |= made
            if self.coupon is not None:
                customer_conditions.coupons.append(
                    applied_coupon(
                        self.coupon,
                        id=SIMULATED_COUPON,
                        feature_ids=frozenset(self.coupon.features.values_list("pk", flat=True)),
                        version_ids=frozenset(
                            PlanVersion.with_agreed.filter(plan__in=self.coupon.plans.all()).values_list(
                                "pk", flat=True
                            )
                        ),
                    )
                )


def load_scenario(simulation: Simulation, subscriptions: Iterable[BilledSubscription]) -> Scenario:
    """Read what a simulation changes, and the plan versions that the subscriptions have."""
    used = {phase.version_id for subscription in subscriptions for phase in subscription.phases}
    terms = PlanVersion.with_agreed.filter(pk__in=used, without_addons__isnull=False)
    ids = {*used, *terms.values_list("without_addons", flat=True), simulation.version_id}
    catalog = load_catalog(pk for pk in ids if pk is not None)
    return Scenario(
        catalog,
        catalog[simulation.version_id] if simulation.version_id else None,
        simulation.replaces_agreed,
        simulation.coupon,
    )


def plan_at(subscription: BilledSubscription, catalog: Mapping[int, Version], at: datetime) -> int:
    """Return the id of the plan that a subscription has at a moment, or that of its first phase."""
    begun = [phase for phase in subscription.phases if phase.start <= at] or list(subscription.phases[:1])
    return catalog[begun[-1].version_id].row.plan_id


def _with_addons(new: PlanTerms, composed: PlanTerms, without: PlanTerms, *, version_id: int) -> PlanTerms:
    """Add the add-ons of composed terms to other terms: what the terms `without` add-ons don't charge or include.

    Plan: 100 free units, with an add-on of 50: 150. On a version with 200 free units, the add-on makes it 250.
    """
    charged = {fee.price_id for fee in without.fees} | {price.price_id for price in without.usage}
    allowances = dict(new.allowances)
    for feature_id, total in composed.allowances.items():
        own = without.allowances.get(feature_id)
        if total != own:
            allowances[feature_id] = _add(allowances.get(feature_id), total, own)
    return replace(
        new,
        version_id=version_id,
        fees=(*new.fees, *(fee for fee in composed.fees if fee.price_id not in charged)),
        usage=(*new.usage, *(price for price in composed.usage if price.price_id not in charged)),
        allowances=allowances,
    )


def _add(new: Allowance | None, total: Allowance, own: Allowance | None) -> Allowance:
    """Return free units with those that an add-on added: the total without the plan's own."""
    if new is None or total.limit is None:
        return total
    if new.limit is None or (own is not None and own.limit is None):
        return new
    with exact():
        added = total.limit - (Decimal(0) if own is None or own.limit is None else own.limit)
        return replace(new, limit=new.limit + added)
