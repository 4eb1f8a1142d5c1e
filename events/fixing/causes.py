"""Causes of problems: their URL parameters, and the total amount at risk of the largest."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from urllib.parse import urlencode

from catalog.models import Feature
from events.fixing import PreviewBusy
from events.fixing.at_risk import at_risk
from events.fixing.offers import Trouble, nearly_named, offers_for
from events.ledger.causes import Cause, open_causes
from events.reasons import Reason

MOST_CAUSES = 10


@dataclass(frozen=True, slots=True)
class TotalAtRisk:
    """The amount at risk by currency. `is_partial`: there may be more, because not all events were included.

    `unknown` counts the causes whose amount can't be calculated.
    """

    amounts: Mapping[str, Decimal]
    is_partial: bool
    unknown: int


def cause_parameters(cause: Cause) -> dict[str, str]:
    """Return the URL parameters of a cause, as `events.fixing.actions.cause_of` reads them."""
    if cause.external_id:
        return {"cause": cause.reason.value, "external_customer_id": cause.external_id}
    feature = {"feature": str(cause.feature.pk)} if cause.feature else {}
    return {"cause": cause.reason.value, "event_name": cause.event_name} | feature


def cause_version(cause: Cause) -> dict[str, str]:
    """Return the parameters of a cause with a version that changes when an event is added to it."""
    return cause_parameters(cause) | {"seen": f"{cause.problems}-{cause.last_at.timestamp()}"}


def cache_key(version: Mapping[str, str]) -> str:
    """Return the key under which a cause's amount at risk is cached, from its `cause_version`."""
    return sha256(urlencode(sorted(version.items())).encode()).hexdigest()


def trouble_of(cause: Cause) -> Trouble:
    return Trouble(cause.reason, cause.event_name, cause.external_id, cause.feature, cause.first_at)


def known_names() -> list[str]:
    """List the catalog's event names."""
    return list(Feature.objects.metered().order_by("event_name").values_list("event_name", flat=True).distinct())


def total_at_risk(*, now: datetime) -> TotalAtRisk:
    """Add up what fixing each of the ten largest causes of open problems would add. Read-only.

    Uses the calculation and the cache of the page that shows the causes one by one.
    """
    causes = open_causes()
    names = known_names() if causes else []
    amounts: dict[str, Decimal] = {}
    unknown, is_partial = 0, len(causes) > MOST_CAUSES
    for cause in causes[:MOST_CAUSES]:
        meant = nearly_named(cause.external_id) if cause.reason == Reason.UNKNOWN_CUSTOMER else None
        offers = offers_for(trouble_of(cause), known_names=names, meant=meant)
        try:
            cause_at_risk = at_risk(trouble_of(cause), offers, now=now, key=cache_key(cause_version(cause)))
        except PreviewBusy:
            is_partial = True
            continue
        unknown += bool(cause_at_risk.unknown)
        is_partial |= cause_at_risk.is_partial
        for currency, amount in cause_at_risk.amounts.items():
            amounts[currency] = amounts.get(currency, Decimal(0)) + amount
    return TotalAtRisk(amounts, is_partial, unknown)
