"""What the open problems of a cause are worth: their units, and their amount at the price that would apply.

It is the preview of the likeliest fix, for as many events as a page can wait for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.core.cache import caches
from django.core.exceptions import ValidationError

from catalog.models import Feature
from config.refusals import Refused
from events.fixing import PreviewBusy, preview
from events.fixing.offers import Offer, Trouble
from events.fixing.registry import make_action
from events.reasons import Reason

MOST_EVENTS = 500
CACHED_S = 120

NO_UNITS = {
    Reason.AGGREGATION_FIELD_MISSING: "unknown: the value is missing",
    Reason.UNUSABLE_VALUE: "unknown: the value can't be added up",
    Reason.VALUE_OUT_OF_RANGE: "unknown: the value can't be added up",
    Reason.FILTER_MISMATCH: "nothing with the current filter",
    Reason.UNKNOWN_EVENT_NAME: "unknown: no feature counts it",
    Reason.NOT_A_NUMBER: "unknown: the text isn't a number",
}


@dataclass(frozen=True)
class AtRisk:
    """Units by feature, and amounts by currency. `is_partial`: only the first 500 events were included.

    `is_subscribed`: some of the events are in a billing period. `unknown` is the reason if units can't be calculated.
    """

    is_partial: bool = False
    units: tuple[tuple[str, Decimal, str], ...] = ()  # a feature's name, how many, and its unit
    amounts: Mapping[str, Decimal] = field(default_factory=dict)
    is_subscribed: bool = False
    unknown: str = ""


def at_risk(trouble: Trouble, offers: Sequence[Offer], *, now: datetime, key: str = "") -> AtRisk:
    """Calculate what the problems of a cause would add if the likeliest of the offers were applied. Read-only.

    With a `key`, the result is cached for two minutes. Raises PreviewBusy while workers hold the rows.
    """
    result: AtRisk | None = caches["figures"].get(f"at_risk:{key}") if key else None
    if result is None:
        result = _calculate(trouble, offers, now)
        if key:
            caches["figures"].set(f"at_risk:{key}", result, CACHED_S)
    return result


def _calculate(trouble: Trouble, offers: Sequence[Offer], now: datetime) -> AtRisk:
    unknown = NO_UNITS.get(trouble.reason, "unknown")
    offer = next((offer for offer in offers if offer.action and (offer.is_complete or offer.assumed)), None)
    if offer is None:
        return AtRisk(unknown=unknown)
    try:
        action = make_action(offer.action, {**offer.parameters, **offer.assumed})
        fix_preview = preview(action, now=now, by=None, most=MOST_EVENTS)
    except PreviewBusy:
        raise
    except (Refused, ValidationError):
        return AtRisk(unknown=unknown)
    sums: dict[Feature, Decimal] = {}
    for change in fix_preview.changes:
        sums[change.feature] = sums.get(change.feature, Decimal(0)) + change.difference
    units = tuple((feature.name, number, feature.unit_for(number)) for feature, number in sums.items() if number)
    is_subscribed = fix_preview.after.worth.periods > 0
    return AtRisk(
        fix_preview.is_partial, units, fix_preview.money, is_subscribed, "" if units or fix_preview.money else unknown
    )
