"""The add-ons in a subscription's chain of phases. Changes of plan, terms, pauses and the end don't see them.

`read_chain` takes the add-ons out of the chain, and `write_chain` puts them in again, by the subscription's add-ons of
then. So they go on whatever else changes, and the same add-ons give the same chain in whichever order they were added.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from django.contrib.auth.models import User

from catalog.addons import compose
from catalog.models import PlanVersion
from catalog.selectors import Terms
from customers.models import Subscription, SubscriptionAddon, SubscriptionPhase
from customers.subscriptions.chain import Chain, PhaseSpan, join_spans, split_span


def make_span(phase: SubscriptionPhase) -> PhaseSpan:
    """Return a phase without its author and reason."""
    return PhaseSpan(phase.kind, phase.plan_version_id, phase.starts_at, phase.ends_at)


def make_spans_without_addons(phases: Iterable[SubscriptionPhase]) -> Chain:
    """Return phases, read with their plan versions, as spans under the same terms without add-ons."""
    return [replace(make_span(phase), version_id=phase.plan_version.terms_id) for phase in phases]


def add_addons(subscription: Subscription, chain: Chain, *, now: datetime, by: User | None, reason: str) -> Chain:
    """Return the chain with the subscription's add-ons, each in its time. Raises AddonNotCompatible."""
    rows = list(SubscriptionAddon.objects.filter(subscription=subscription).select_related("version__plan"))
    if not rows:
        return chain
    spans = chain
    for row in rows:
        spans = split_span(split_span(spans, row.starts_at), row.ends_at)
    ids = {span.version_id for span in spans}
    terms = PlanVersion.with_agreed.select_related("plan", "base").in_bulk(ids)
    charged = Terms(subscription.currency, subscription.interval, subscription.interval_count)
    composed: Chain = []
    for span in spans:
        addons = _addons_at(rows, span.starts_at)
        version = terms[span.version_id]
        if addons:
            version = compose(
                version, addons, charged, agreed_for=subscription.public_id, now=now, by=by, reason=reason
            )
        composed.append(replace(span, version_id=version.pk))
    return join_spans(composed)


def _addons_at(rows: Sequence[SubscriptionAddon], at: datetime) -> Counter[PlanVersion]:
    return Counter(row.version for row in rows if row.covers(at))
