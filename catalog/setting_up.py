"""Set up a plan in one step: its fee, its features with free units and prices, and the published version."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction

from catalog.drafting import Tier
from catalog.features import save_feature
from catalog.models import Aggregation, Entitlement, Feature, Plan, PlanVersion, Price, PriceTier
from catalog.models.prices import Cadence, PriceKind, PriceModel
from catalog.publishing import get_or_create_draft, publish
from config.approvals.gate import ApprovalNeeded
from config.approvals.requests import request_approval
from config.audit import recorded

TIERED = (PriceModel.GRADUATED, PriceModel.VOLUME)


@dataclass(frozen=True, slots=True)
class SoldFeature:
    """A feature of the plan, new or existing, with its free units and its price; tiers replace the unit amount."""

    feature: Feature
    model: PriceModel = PriceModel.PER_UNIT
    unit_amount: Decimal | None = None
    tiers: Sequence[Tier] = ()
    free_units: Decimal | None = None


@dataclass(frozen=True, slots=True)
class PlanDesign:
    """A plan as its form describes it. Without a `fee` only usage is charged. The fee covers `fee_periods` periods."""

    name: str
    currency: str
    interval: str
    fee: Decimal | None = None
    fee_periods: int = 1
    cadence: Cadence = Cadence.ADVANCE
    trial_days: int = 0
    features: Sequence[SoldFeature] = ()


def new_feature(*, name: str, event_name: str, aggregation: str, field: str, accepts_text: bool) -> Feature:
    """Build an unsaved metered feature. Count has no field."""
    return Feature(
        name=name,
        event_name=event_name,
        aggregation=aggregation,
        field="" if aggregation == Aggregation.COUNT else field,
        accept_numeric_strings=accepts_text,
    )


def price_of(sold: SoldFeature, design: PlanDesign) -> tuple[Price, list[PriceTier]]:
    """Build the unsaved usage price of a feature, and its tiers."""
    is_tiered = sold.model in TIERED
    price = Price(
        kind=PriceKind.USAGE,
        feature=sold.feature,
        currency=design.currency,
        interval=design.interval,
        model=sold.model,
        unit_amount=None if is_tiered else sold.unit_amount,
    )
    tiers = [
        PriceTier(up_to=tier.up_to, unit_amount=tier.unit_amount, flat_amount=tier.flat_amount) for tier in sold.tiers
    ]
    return price, tiers if is_tiered else []


@transaction.atomic
def set_up_plan(design: PlanDesign, *, now: datetime, by: User | None, is_published: bool = True) -> PlanVersion:
    """Create the plan with its new features and first version, and publish it unless told otherwise.

    All or nothing. If publishing needs approval, that is requested, and the version stays a draft. Raises
    ValidationError, also for what `publish` refuses.
    """
    plan = Plan(name=design.name)
    plan.full_clean()
    with recorded(by=by):
        plan.save()
    draft = get_or_create_draft(plan, by=by, held=True)
    with recorded(by=by):
        if design.trial_days:
            draft.trial_days = design.trial_days
            draft.save(update_fields=["trial_days", "updated_at"])
        if design.fee is not None:
            _save_price(_fee_of(design), [], draft)
        for position, sold in enumerate(design.features, start=1):
            _add_feature(sold, design, draft, position, by)
    if is_published:
        try:
            publish(draft, now=now, by=by, reason="First version")
        except ApprovalNeeded as needed:
            request_approval(needed, now=now)
    return draft


def _fee_of(design: PlanDesign) -> Price:
    return Price(
        kind=PriceKind.FIXED,
        name=design.name,
        currency=design.currency,
        interval=design.interval,
        periods=design.fee_periods,
        cadence=design.cadence,
        model=PriceModel.FLAT,
        unit_amount=design.fee,
    )


def _add_feature(sold: SoldFeature, design: PlanDesign, draft: PlanVersion, position: int, by: User | None) -> None:
    if sold.feature._state.adding:
        save_feature(sold.feature, by=by)
    price, tiers = price_of(sold, design)
    price.position = position
    _save_price(price, tiers, draft)
    if sold.free_units:
        entitlement = Entitlement(version=draft, feature=sold.feature, free_units=sold.free_units)
        entitlement.full_clean(exclude=["version", "feature"])
        entitlement.save()


def _save_price(price: Price, tiers: Sequence[PriceTier], draft: PlanVersion) -> None:
    price.version = draft
    price.full_clean(exclude=["version", "feature"])
    price.save()
    for tier in tiers:
        tier.price = price
        tier.full_clean(exclude=["price"])
        tier.save()
