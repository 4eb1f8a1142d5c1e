"""Replay events automatically once the cause of their problems is fixed.

Fixed causes are found in the data, not by watching changes, so this also works after a crash, a direct edit of the
database, or a lost message.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import batched

import pglock
from django.db import connection
from django.db.models import F, Q

from catalog.models import EventNameAlias, Feature
from customers.models import CustomerAlias
from events.history.changing import events_sent_for
from events.ledger.rebuilding import HOURS_AT_A_TIME, Scope, rebuild_usage
from events.ledger.replaying import Replayed, replay, replay_hours, wait_for_running_batches
from events.models import Event, Problem, ProblemState
from events.reasons import Reason
from events.sql import section
from events.usage.meter import floor_hour

SWEEP_LOCK = 7_301_002


def replay_fixed_causes(*, now: datetime) -> Replayed:
    """Replay every event whose cause was fixed since it was processed: new or active customers, changed features.

    One sweep runs at a time; a concurrent call does nothing.
    """
    with pglock.advisory(SWEEP_LOCK, timeout=0) as is_alone:
        if not is_alone:
            return Replayed()
        replayed = replay_moved_aliases() + replay_found_customers()
        return replayed + sum((settle(feature, now=now) for feature in changed_features()), Replayed())


def replay_found_customers() -> Replayed:
    """Replay events whose customer was unknown or archived and is now known and active."""
    with connection.cursor() as cursor:
        cursor.execute(section("fixing", "found_customers"))
        external_ids = [row[0] for row in cursor.fetchall()]
    return sum((_replay_customer(external_id) for external_id in external_ids), Replayed())


def replay_moved_aliases() -> Replayed:
    """Move events of aliases that were mapped to another customer since the events were counted."""
    replayed = Replayed()
    for alias in CustomerAlias.objects.exclude(to_recount=[]).order_by("pk"):
        event_ids = events_sent_for(alias.alias, alias.to_recount)
        replayed += replay(event_ids, closing=f"{alias.alias} was mapped to {alias.customer.external_id}")
        CustomerAlias.objects.filter(pk=alias.pk, to_recount=alias.to_recount).update(to_recount=[])
    return replayed


def _replay_customer(external_id: str) -> Replayed:
    reasons = [Reason.UNKNOWN_CUSTOMER, Reason.CUSTOMER_ARCHIVED]
    event_ids = open_problems(Q(external_customer_id=external_id, reason__in=reasons))
    return replay(event_ids, closing=f"Customer {external_id} exists and is active")


def changed_features() -> list[Feature]:
    """List the features that are new, or whose meter changed, since their earlier events were counted."""
    changed = Q(recounted_at=None) | Q(recounted_at__lt=F("meter_changed_at"))
    return list(Feature.objects.metered().filter(changed).order_by("pk"))


def settle(feature: Feature, *, now: datetime) -> Replayed:
    """Count events for a new or changed feature: first the hours with open problems, then all other differences.

    Entire hours are replayed, because a change that lets one event count may stop its neighbor from counting.
    """
    names = Q(event_name=feature.event_name) | Q(event_name__in=aliases_of(feature))
    problems = Q(feature=feature) | names & ~Q(reason=Reason.UNKNOWN_CUSTOMER)
    closing = f"{feature.name} was changed: its definition, its state, or a mapped event name"
    wait_for_running_batches()
    replayed = Replayed()
    for hours in batched(hours_of(open_problems(problems), feature), HOURS_AT_A_TIME):
        replayed += replay_hours(hours, closing=closing)
    replayed += replay(open_problems(problems), closing=closing)
    rebuild_usage(Scope(feature_id=feature.pk), apply=True, now=now, reason=f"Feature {feature.name} is new or changed")
    Feature.objects.filter(pk=feature.pk).update(recounted_at=feature.meter_changed_at)
    return replayed


def hours_of(event_ids: Iterator[int], feature: Feature) -> list[tuple[int, int, datetime]]:
    """List the (customer, feature, hour) in which events would count. Events of unknown customers have none."""
    hours: set[tuple[int, int, datetime]] = set()
    for ids in batched(event_ids, 5_000):
        events = Event.objects.filter(pk__in=ids, customer__isnull=False).values_list("customer_id", "occurred_at")
        hours.update((customer_id, feature.pk, floor_hour(at)) for customer_id, at in events)
    return sorted(hours)


def aliases_of(feature: Feature) -> list[str]:
    """List the event names that staff mapped to the feature's event name."""
    return list(EventNameAlias.objects.filter(event_name=feature.event_name).values_list("alias", flat=True))


def open_problems(condition: Q) -> Iterator[int]:
    """Yield the ledger ids of events with open problems that meet a condition, once each, in order of arrival."""
    events = Problem.objects.filter(condition, state=ProblemState.OPEN).order_by("event_id").distinct()
    return events.values_list("event_id", flat=True).iterator(chunk_size=5_000)
