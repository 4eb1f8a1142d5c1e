"""Causes of problems: how their addresses name them, and what the largest of them come to together."""

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
    """What causes come to by currency. `is_partial`: more than that, as not all of their events were looked at.

    `unknown` counts the causes of which nobody can tell.
    """

    amounts: Mapping[str, Decimal]
    is_partial: bool
    unknown: int


def named(cause: Cause) -> dict[str, str]:
    """Name a cause, as `events.fixing.actions.cause_of` reads it."""
    if cause.external_id:
        return {"cause": cause.reason.value, "external_customer_id": cause.external_id}
    feature = {"feature": str(cause.feature.pk)} if cause.feature else {}
    return {"cause": cause.reason.value, "event_name": cause.event_name} | feature


def seen(cause: Cause) -> dict[str, str]:
    """Name a cause as it is now: another when an event comes to it."""
    return named(cause) | {"seen": f"{cause.problems}-{cause.last_at.timestamp()}"}


def key_of(given: Mapping[str, str]) -> str:
    """Give the key under which what a cause is worth is kept, of what `seen` says."""
    return sha256(urlencode(sorted(given.items())).encode()).hexdigest()


def trouble_of(cause: Cause) -> Trouble:
    return Trouble(cause.reason, cause.event_name, cause.external_id, cause.feature, cause.first_at)


def known_names() -> list[str]:
    """List the catalog's event names."""
    return list(Feature.objects.metered().order_by("event_name").values_list("event_name", flat=True).distinct())


def total_at_risk(*, now: datetime) -> TotalAtRisk:
    """Add up what the ten largest causes of open problems would come to, each mended by itself.

    By the code, and from the memory, of the page that shows them one by one. Nothing is written.
    """
    causes = open_causes()
    names = known_names() if causes else []
    amounts: dict[str, Decimal] = {}
    unknown, is_partial = 0, len(causes) > MOST_CAUSES
    for cause in causes[:MOST_CAUSES]:
        meant = nearly_named(cause.external_id) if cause.reason == Reason.UNKNOWN_CUSTOMER else None
        offers = offers_for(trouble_of(cause), known_names=names, meant=meant)
        try:
            found = at_risk(trouble_of(cause), offers, now=now, key=key_of(seen(cause)))
        except PreviewBusy:
            is_partial = True
            continue
        unknown += bool(found.unknown)
        is_partial |= found.is_partial
        for currency, amount in found.amounts.items():
            amounts[currency] = amounts.get(currency, Decimal(0)) + amount
    return TotalAtRisk(amounts, is_partial, unknown)
