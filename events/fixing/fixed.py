"""Finds what was mended since events were judged, and replays them: nobody has to remember to.

It looks at the data, not at who changed it, so it also works after a crash, a direct edit, or a lost message.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import batched

from django.db import connection
from django.db.models import F, Q

from catalog.models import EventNameAlias, Feature
from config.db.locks import hold_if_free
from customers.models import CustomerAlias
from events.ledger.rebuilding import HOURS_AT_A_TIME, Scope, rebuild_usage
from events.ledger.replaying import Replayed, replay, replay_hours, wait_for_running_batches
from events.models import Event, Problem, ProblemState
from events.reasons import Reason
from events.sql import section
from events.usage.meter import floor_hour

SWEEP_LOCK = 7_301_002


def replay_mended(*, now: datetime) -> Replayed:
    """Replay every event whose cause was mended since it was judged: new or active customers, changed features.

    One sweep at a time; a second one meanwhile returns at once with nothing done.
    """
    with hold_if_free(SWEEP_LOCK) as is_alone:
        if not is_alone:
            return Replayed()
        moved = replay_moved_aliases() + replay_found_customers()
        return moved + sum((settle(feature, now=now) for feature in changed_features()), Replayed())


def replay_found_customers() -> Replayed:
    """Replay events whose customer was unknown or archived, and now is known and active."""
    with connection.cursor() as cursor:
        cursor.execute(section("fixing", "found_customers"))
        found = [row[0] for row in cursor.fetchall()]
    return sum((_replay_customer(external_id) for external_id in found), Replayed())


def replay_moved_aliases() -> Replayed:
    """Move events of aliases that were pointed to another customer since they were counted."""
    done = Replayed()
    for alias in CustomerAlias.objects.exclude(to_recount=[]).order_by("pk"):
        sent = Event.objects.filter(customer__in=alias.to_recount, external_customer_id=alias.alias)
        ids = sent.values_list("pk", flat=True).iterator(chunk_size=5_000)
        done += replay(ids, closing=f"{alias.alias} means {alias.customer.external_id} now")
        CustomerAlias.objects.filter(pk=alias.pk, to_recount=alias.to_recount).update(to_recount=[])
    return done


def _replay_customer(external_id: str) -> Replayed:
    reasons = [Reason.UNKNOWN_CUSTOMER, Reason.CUSTOMER_ARCHIVED]
    waiting = open_problems(Q(external_customer_id=external_id, reason__in=reasons))
    return replay(waiting, closing=f"Customer {external_id} is there and active")


def changed_features() -> list[Feature]:
    """List the features whose meter changed, or that are new, since earlier events were counted for them."""
    changed = Q(recounted_at=None) | Q(recounted_at__lt=F("meter_changed_at"))
    return list(Feature.objects.metered().filter(changed).order_by("pk"))


def settle(feature: Feature, *, now: datetime) -> Replayed:
    """Count events for a new or changed feature: first the hours with open problems, then whatever else differs.

    Whole hours are judged anew, since a change that lets one event count may keep its neighbour from counting.
    """
    names = Q(event_name=feature.event_name) | Q(event_name__in=aliases_of(feature))
    concerned = Q(feature=feature) | names & ~Q(reason=Reason.UNKNOWN_CUSTOMER)
    closing = f"What counts for {feature.name} was changed: its definition, its state, or a mapped name"
    wait_for_running_batches()
    done = Replayed()
    for hours in batched(hours_of(open_problems(concerned), feature), HOURS_AT_A_TIME):
        done += replay_hours(hours, closing=closing)
    done += replay(open_problems(concerned), closing=closing)
    rebuild_usage(Scope(feature_id=feature.pk), apply=True, now=now, reason=f"Feature {feature.name} is new or changed")
    Feature.objects.filter(pk=feature.pk).update(recounted_at=feature.meter_changed_at)
    return done


def hours_of(event_ids: Iterator[int], feature: Feature) -> list[tuple[int, int, datetime]]:
    """List the hours, with customer and feature, in which these events would count; unknown customers have none."""
    hours: set[tuple[int, int, datetime]] = set()
    for part in batched(event_ids, 5_000):
        known = Event.objects.filter(pk__in=part, customer__isnull=False).values_list("customer_id", "occurred_at")
        hours.update((customer, feature.pk, floor_hour(at)) for customer, at in known)
    return sorted(hours)


def aliases_of(feature: Feature) -> list[str]:
    """List the names that staff mapped to the feature's event name."""
    return list(EventNameAlias.objects.filter(event_name=feature.event_name).values_list("alias", flat=True))


def open_problems(concerned: Q) -> Iterator[int]:
    """Give the ledger ids of events with such open problems, once each, in the order of arrival."""
    events = Problem.objects.filter(concerned, state=ProblemState.OPEN).order_by("event_id").distinct()
    return events.values_list("event_id", flat=True).iterator(chunk_size=5_000)
