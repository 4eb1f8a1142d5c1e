"""What the open problems of a cause are worth: their units, and their money at the price that would apply.

It is what the preview of the likeliest fix says, of so many events that a page can ask for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.core.cache import cache
from django.core.exceptions import ValidationError

from catalog.models import Feature
from config.refusals import Refused
from events.fixing import PreviewBusy, preview
from events.fixing.offers import Offer, Trouble
from events.fixing.registry import make_action
from events.reasons import Reason

MOST_EVENTS = 500
KEPT_S = 120

NO_UNITS = {
    Reason.AGGREGATION_FIELD_MISSING: "not known: the value is missing",
    Reason.UNUSABLE_VALUE: "not known: the value can't be added up",
    Reason.VALUE_OUT_OF_RANGE: "not known: the value can't be added up",
    Reason.FILTER_MISMATCH: "nothing, as the filter stands",
    Reason.UNKNOWN_EVENT_NAME: "not known: no feature adds it up",
    Reason.NOT_A_NUMBER: "not known: the text is no number",
}


@dataclass(frozen=True)
class AtRisk:
    """Units by feature, and money by currency. `is_partial`: of the first 500 events, and there are more.

    `is_subscribed`: a billing period holds some of them. `unknown` says why there are no units to tell.
    """

    is_partial: bool = False
    units: tuple[tuple[str, Decimal, str], ...] = ()  # a feature's name, how many, and its unit
    amounts: Mapping[str, Decimal] = field(default_factory=dict)
    is_subscribed: bool = False
    unknown: str = ""


def at_risk(trouble: Trouble, offers: Sequence[Offer], *, now: datetime, key: str = "") -> AtRisk:
    """Work out what the problems of a cause would come to if the likeliest of the offers were applied.

    Nothing is written. With a `key` the answer is kept for two minutes. Raises PreviewBusy when workers hold the rows.
    """
    kept: AtRisk | None = cache.get(f"at_risk:{key}") if key else None
    if kept is None:
        kept = _compute(trouble, offers, now)
        if key:
            cache.set(f"at_risk:{key}", kept, KEPT_S)
    return kept


def _compute(trouble: Trouble, offers: Sequence[Offer], now: datetime) -> AtRisk:
    unknown = NO_UNITS.get(trouble.reason, "not known")
    offer = next((one for one in offers if one.action and (one.is_complete or one.assumed)), None)
    if offer is None:
        return AtRisk(unknown=unknown)
    try:
        found = preview(
            make_action(offer.action, {**offer.parameters, **offer.assumed}), now=now, by=None, most=MOST_EVENTS
        )
    except PreviewBusy:
        raise
    except (Refused, ValidationError):
        return AtRisk(unknown=unknown)
    sums: dict[Feature, Decimal] = {}
    for change in found.changes:
        sums[change.feature] = sums.get(change.feature, Decimal(0)) + change.difference
    units = tuple((feature.name, number, feature.unit_for(number)) for feature, number in sums.items() if number)
    is_subscribed = found.after.worth.periods > 0
    return AtRisk(found.is_partial, units, found.money, is_subscribed, "" if units or found.money else unknown)
