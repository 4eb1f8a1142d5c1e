"""idempotency.json against ingest, the ledger and invoices."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from events.diagnosis import look_up
from events.models import Event, Problem
from events.reasons import Reason
from events.usage.meter import BEGINNING, usage
from events.usage.search import Search, find, usage_of
from tests.conformance import documents
from tests.conformance.ledger import ARRIVAL, arrival, ids_of, make_meter, send
from tests.conformance.registry import Category, DecidedOtherwise, Inputs, Policy, Refused
from tests.conformance.values import Moments, number
from tests.factories import make_customer, make_subscription

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
SCOPES = ("organization", "customer", "subscription", "source")
LAST = datetime(9999, 1, 1, tzinfo=UTC)


def ingest(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    existing, batch = list(inputs["existing"]), list(inputs["batch"])
    refuse_scopes(existing + batch, policy)
    customer, feature = make_customer(), make_meter({"type": "sum"}, policy)
    received_at = arrival(existing + batch)
    send(customer, existing, received_at)
    known = list(Event.objects.values_list("pk", flat=True))
    results = send(customer, batch, received_at)
    return {
        "stored": Event.objects.count(),
        "accepted": Event.objects.exclude(pk__in=known).count(),
        "rejected": [],  # a request that holds a position to refuse raises
        "duplicates": sum(result.duplicates for result in results),
        "sum": usage(customer.pk, feature, BEGINNING, LAST).value,
    }


def refuse_scopes(events: Iterable[Mapping[str, Any]], policy: Policy) -> None:
    """Decline a vector that tells equal ids apart by their source, customer or subscription."""
    names = [name for name in policy.get("dedup_key", SCOPES) if name != "id"]
    seen: dict[Any, tuple[Any, ...]] = {}
    for event in events:
        scope = tuple(event.get(name) for name in names)
        if "id" in event and seen.setdefault(event["id"], scope) != scope:
            raise DecidedOtherwise(
                f"ingest of one id under two of {', '.join(names)}: an event_id is unique for the whole company"
            )


def event_time(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    send(make_customer(), [inputs], moments.read(inputs["received_at"]))
    return {"timestamp": moments.write(Event.objects.get().occurred_at)}


def ingest_invalid(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    named = inputs["aggregation"]
    aggregation = named if isinstance(named, Mapping) else {"type": named}
    customer, feature = make_customer(), make_meter(aggregation, policy)
    events = [{"id": str(place), "properties": properties} for place, properties in enumerate(inputs["events"])]
    send(customer, events, ARRIVAL)
    marked = Problem.objects.order_by("event_id").values_list("event__event_id", flat=True)
    return {
        "stored": Event.objects.count(),
        "billed": usage(customer.pk, feature, BEGINNING, LAST).value,
        "with_error": [int(event_id) for event_id in marked],
    }


def late_events(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    period, snapshot_at = moments.period(inputs["period"]), moments.read(inputs["snapshot_at"])
    customer, feature = make_customer(), make_meter({"type": "sum"}, policy)
    send(customer, inputs["events"], arrival(inputs["events"]))
    in_time, late = Search(received_before=snapshot_at), Search(received_from=snapshot_at)
    return {
        "billed_in_snapshot": usage_of(customer.pk, feature, period.start, period.end, in_time).value,
        "late": usage_of(customer.pk, feature, period.start, period.end, late).value,
    }


def invoice_cutoff(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    cutoff = Moments(inputs).read(inputs["cutoff"])
    customer, feature = make_customer(), make_meter({"type": "sum"}, policy)
    events = [
        {
            "id": entry["id"],
            "timestamp": entry["at"],
            "stored_at": entry.get("created_at"),
            "properties": {"value": number(entry["value"])},
        }
        for entry in inputs["entries"]
    ]
    send(customer, events, arrival(events))
    return {
        "billed": usage(customer.pk, feature, BEGINNING, cutoff).value,
        "billed_ids": ids_of(find(customer.pk, Search(), end=cutoff)),
    }


def accept_timestamp(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    """Tell whether an event of this time is taken, and whether the subscription is there to take it."""
    now, at = (datetime.fromisoformat(inputs[name]) for name in ("now", "timestamp"))
    customer = make_customer()
    if inputs.get("subscription_ended_at"):
        ended_at = datetime.fromisoformat(inputs["subscription_ended_at"])
        make_subscription(customer=customer, starts_at=LONG_AGO, now=LONG_AGO, ends_at=ended_at)
        make_meter({"type": "sum"}, policy)
    try:
        send(customer, [{"timestamp": inputs["timestamp"], "properties": {"value": 1}}], now)
    except Refused as error:
        raise Refused("too_far_in_future" if at > now else "too_far_in_past") from error
    if inputs.get("subscription_ended_at"):
        # The event is kept all the same: what refuses it is billing, and the diagnosis says why.
        found = {step.reason for step in look_up(Event.objects.get().event_id, now=now).steps}
        if Reason.SUBSCRIPTION_ENDED in found:
            raise Refused("out_of_subscription")
    return {"accepted": True}


CATEGORY = Category(
    operations={
        "ingest": ingest,
        "event_time": event_time,
        "ingest_invalid": ingest_invalid,
        "late_events": late_events,
        "invoice_cutoff": invoice_cutoff,
        "accept_timestamp": accept_timestamp,
        "void_invoice": documents.void_invoice,
        "rerate_period": documents.rerate_period,
        "repeat_request": documents.repeat_request,
        "credit_notes": documents.credit_notes,
    },
    not_offered={
        "usage_log": "usage is a ledger of events; there is no running figure to overwrite",
    },
    policies={
        "dedup_key": frozenset(str([*scope, "id"]) for scope in ((), *((name,) for name in SCOPES))),
        "on_duplicate": frozenset({"ignore"}),
        "invalid": frozenset({"store_with_error"}),
        "late_events": frozenset({"next_invoice"}),
        "void_paid": frozenset({"refuse"}),
        "numeric_strings": frozenset({"accept", "refuse", "reject"}),
    },
    declined={
        "dedup_key=['id', 'timestamp']": "an event_id is unique for ever, whatever its timestamp",
        "on_duplicate=reject_event": "a repeat is accepted, counted once and logged",
        "on_duplicate=reject_batch": "a repeat is accepted, counted once and logged",
        "on_duplicate=last_wins": "of equal ids the first one stands, the other is logged as a conflict",
        "void_paid=allow": "an invoice with money attached isn't voided",
        "void_paid=refund_to_wallet": "an invoice with money attached isn't voided",
        "max_future_seconds": "the limit ahead is in days: EVENT_LATEST_DAYS_AHEAD",
        "max_past_seconds": "the limit back is a year: EVENT_EARLIEST_YEAR",
    },
    # What was paid is named as an amount; and there is no shorter way back for events that aren't backfilled.
    informative=frozenset({"payment_status", "backfill"}),
    needs_database=True,
)
