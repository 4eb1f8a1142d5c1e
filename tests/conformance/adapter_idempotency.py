"""idempotency.json against ingest, the ledger and invoices."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing.finalizing import CannotChange, MoneyAttached, finalize, mark_paid, void
from billing.models import Invoice, InvoiceState
from billing.runs import run_to_end
from catalog.models.prices import PriceKind, PriceModel
from events.models import Event, Problem
from events.payload import PayloadRefused, parse_event
from events.search import Search, find, usage_of
from events.usage import BEGINNING, usage
from tests.conformance.ledger import ARRIVAL, arrival, ids_of, make_meter, send, wire
from tests.conformance.registry import Category, Inputs, NotOffered, Policy, Refused
from tests.conformance.values import Moments, number
from tests.events.senders import as_json
from tests.factories import make_customer, make_subscription, make_version

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
    names = [name for name in policy.get("dedup_key", ()) if name != "id"]
    seen: dict[Any, tuple[Any, ...]] = {}
    for event in events:
        scope = tuple(event.get(name) for name in names)
        if seen.setdefault(event["id"], scope) != scope:
            raise NotOffered(
                f"ingest of one id under two of {', '.join(names)}: decided otherwise: "
                "an event_id is unique for the whole company"
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
    if inputs.get("subscription_ended_at"):
        raise NotOffered(
            "accept_timestamp with subscription_ended_at: decided otherwise: such an event is kept, "
            "and its diagnosis says that the subscription had ended"
        )
    now, at = (datetime.fromisoformat(inputs[name]) for name in ("now", "timestamp"))
    event = wire(make_customer(), {"id": "one", "timestamp": inputs["timestamp"]})
    try:
        parse_event(as_json(event).encode(), received_at=now)
    except PayloadRefused as error:
        raise Refused("too_far_in_future" if at > now else "too_far_in_past") from error
    return {"accepted": True}


def void_invoice(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    refuse_unknown_states(inputs)
    paid = number(inputs.get("amount_paid") or 0)
    invoice = make_invoice(paid or number(10))
    if inputs["status"] != "draft":
        finalize(invoice, now=ARRIVAL)
    if paid:
        mark_paid(invoice, now=ARRIVAL)
    try:
        done = void(invoice, reason="As the vector says", by=None, now=ARRIVAL)
    except MoneyAttached as error:
        raise Refused("invoice_is_paid") from error
    except CannotChange as error:
        raise Refused("not_voidable") from error
    return {"status": "voided" if done.state == InvoiceState.VOID else done.state}


def refuse_unknown_states(inputs: Inputs) -> None:
    """Decline what an invoice of ours can't be, or what was decided otherwise."""
    if inputs["status"] == "voided":
        raise NotOffered("void_invoice of a void one: decided otherwise: a repeated call returns it as it is")
    if inputs["status"] not in ("draft", "finalized"):
        raise NotOffered(f"void_invoice in state {inputs['status']}: an invoice has no such state")
    if inputs.get("has_later_corrections"):
        raise NotOffered("void_invoice with has_later_corrections: no invoice corrects another yet")
    if number(inputs.get("credits_used") or 0):
        raise NotOffered("void_invoice with credits_used: there are no prepaid credits yet")


def make_invoice(amount: Decimal) -> Invoice:
    """Bill a fee of this amount, and return the draft."""
    fee = {"kind": PriceKind.FIXED, "model": PriceModel.FLAT, "cadence": "advance", "unit_amount": amount}
    subscription = make_subscription(plan=make_version(fee), starts_at=ARRIVAL)
    run_to_end(as_of=ARRIVAL)
    return Invoice.objects.get(subscription=subscription)


CATEGORY = Category(
    operations={
        "ingest": ingest,
        "event_time": event_time,
        "ingest_invalid": ingest_invalid,
        "late_events": late_events,
        "invoice_cutoff": invoice_cutoff,
        "accept_timestamp": accept_timestamp,
        "void_invoice": void_invoice,
    },
    not_offered={
        "rerate_period": "not yet: late usage doesn't come onto the next invoice so far",
        "repeat_request": "not yet: an event's id is its own key, and other requests take none so far",
        "credit_notes": "not yet: there are no credit notes so far",
        "usage_log": "usage is a ledger of events; there is no running figure to overwrite",
    },
    policies={
        "dedup_key": frozenset(
            str([*scope, "id"]) for scope in ((), ("organization",), ("source",), ("customer",), ("subscription",))
        ),
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
    needs_database=True,
)
