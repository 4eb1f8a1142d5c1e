"""Translate the diagnosis of an event into the shape of the public API."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from catalog.models import Feature, Price
from customers.models import PhaseKind, SubscriptionPhase
from events.diagnosis import Diagnosis, DiagnosisStep, Place, Status, StepKey, look_up
from events.diagnosis.context import Context

LOOKUP_FAILURES = (
    (StepKey.CUSTOMER, "customer_lookup"),
    (StepKey.EVENT_NAME, "meter_lookup"),
    (StepKey.FEATURE, "meter_lookup"),
    (StepKey.FILTER, "meter_lookup"),
    (StepKey.PLAN, "price_lookup"),
    (StepKey.SUBSCRIPTION, "subscription_line_item_lookup"),
    (StepKey.FIELD, "attributed_to_customer"),
    (StepKey.VALUE, "attributed_to_customer"),
    (StepKey.USAGE, "attributed_to_customer"),
)


def lookup(event_id: str, *, now: datetime, external_customer_id: str = "") -> dict[str, Any] | None:
    """Diagnose an event; None if there is no event with the id (and, if specified, of the customer).

    `status` is "processed" when the event counts for at least one feature, "failed" with the first failure, else
    "processing". Beside the contract's fields, `steps` holds the whole diagnosis.
    """
    diagnosis = look_up(event_id, now=now)
    subject = diagnosis.subject
    if subject is None or external_customer_id not in ("", subject.external_customer_id):
        return None
    context = Context(subject, now)
    event = _event(diagnosis)
    counted = [reading for reading in context.readings if context.is_counted(reading)]
    answer: dict[str, Any] = {"event": event, "events": [event], "steps": [_step(step) for step in diagnosis.steps]}
    if counted:
        answer["status"] = "processed"
        answer["processed_events"] = [
            item for reading in counted for item in _processed(context, reading.feature, reading.adds)
        ]
        return answer
    failure = None if subject.place == Place.WAITING else _failure(diagnosis.steps)
    answer["status"] = "failed" if failure else "processing"
    answer["debug_tracker"] = _tracker(context, failure)
    return answer


def _event(diagnosis: Diagnosis) -> dict[str, Any]:
    subject = diagnosis.subject
    if subject is None:
        raise ValueError("An unknown event can't be described")
    return {
        "id": subject.event_id,
        "external_customer_id": subject.external_customer_id,
        "event_name": subject.event_name,
        "timestamp": subject.occurred_at.isoformat(),
        "properties": subject.parsed,
        "source": subject.source,
        "ingested_at": subject.received_at.isoformat(),
    }


def _step(step: DiagnosisStep) -> dict[str, Any]:
    return {
        "step": step.key.value,
        "status": step.status.value,
        "reason": step.reason.value if step.reason else None,
        "message": step.sentence,
        "feature_id": step.feature_id,
        "guide": step.guide or None,
        "fix": step.fix_text or None,
    }


def _failure(steps: Iterable[DiagnosisStep]) -> dict[str, Any] | None:
    failed = {step.key: step for step in steps if step.status == Status.FAIL}
    for key, kind in LOOKUP_FAILURES:
        if key in failed:
            step = failed[key]
            error = {
                "code": step.reason.value if step.reason else "failed",
                "message": step.sentence,
                "http_status_code": 404,
            }
            return {"failure_point_type": kind, "error": error}
    return None


def _tracker(context: Context, failure: dict[str, Any] | None) -> dict[str, Any]:
    customer = context.customer.customer
    features = [reading.feature for reading in context.readings if context.name.is_known and reading.passes_filter]
    matches = _matches(context, features)
    meters = [{"meter_id": feature.public_id, "event_name": feature.event_name, "meter": {}} for feature in features]
    return {
        "customer_lookup": {
            "status": "found" if customer else "not_found",
            "customer": {"id": customer.public_id, "external_id": customer.external_id, "name": customer.name}
            if customer
            else None,
            "error": None,
        },
        "meter_matching": {
            "status": "found" if features else "not_found",
            "matched_meters": meters,
            "error": None,
        },
        "price_lookup": {
            "status": _lookup_status(features, matches),
            "matched_prices": [_price(match) for match in matches],
            "error": None,
        },
        "subscription_line_item_lookup": {
            "status": _lookup_status(matches, matches),
            "matched_line_items": [_line_item(match) for match in matches],
            "error": None,
        },
        "attributed_to_customer": {"status": "unprocessed" if failure else "processing"},
        "failure_point": failure,
    }


def _lookup_status(previous: Sequence[Any], matches: Sequence[Any]) -> str:
    """Return a step's status. A step after one without matches isn't processed."""
    if not previous:
        return "unprocessed"
    return "found" if matches else "not_found"


type Match = tuple[SubscriptionPhase, Price]


def _matches(context: Context, features: Sequence[Feature]) -> list[Match]:
    """Pair the phases at the event's time with the prices that they charge for these features."""
    pairs = ((phase, context.price_in(phase, feature.pk)) for phase in context.phases_at for feature in features)
    return [(phase, price) for phase, price in pairs if price is not None]


def _price(match: Match) -> dict[str, Any]:
    price = match[1]
    meter = price.feature.public_id if price.feature else None
    summary = {"currency": price.currency, "name": price.label}
    return {"price_id": price.public_id, "meter_id": meter, "status": "published", "price": summary}


def _line_item(match: Match) -> dict[str, Any]:
    phase, price = match
    return {
        "sub_line_item_id": f"{phase.subscription.public_id}:{price.public_id}",
        "subscription_id": phase.subscription.public_id,
        "price_id": price.public_id,
        "start_date": phase.starts_at.isoformat(),
        "end_date": phase.ends_at.isoformat() if phase.ends_at else None,
        "is_active_for_event": phase.kind != PhaseKind.PAUSED,
        "timestamp_within_range": True,
        "subscription_line_item": {},
    }


def _processed(context: Context, feature: Feature, adds: Decimal | None) -> list[dict[str, Any]]:
    """Describe a counted event: once per subscription that prices the feature, or once without any."""
    base = {
        "customer_id": context.customer.customer.public_id if context.customer.customer else None,
        "meter_id": feature.public_id,
        "feature_id": feature.public_id,
        "qty_total": f"{adds:f}" if adds is not None else "1",
        "processed_at": context.subject.processed_at.isoformat() if context.subject.processed_at else None,
    }
    names = ("subscription_id", "sub_line_item_id", "price_id")
    items = [_line_item(match) for match in _matches(context, [feature])]
    return [base | {name: item[name] for name in names} for item in items] or [base | dict.fromkeys(names)]
