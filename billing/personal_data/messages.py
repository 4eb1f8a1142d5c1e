"""Find and erase webhook messages about a customer.

A message is the customer's if it is about an object of the customer, or has the customer's ID, or an external ID where
events have it. Names select nothing: a customer can be called `currency`.
"""

from collections.abc import Iterator
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Any

import orjson
from django.db.models import Q, QuerySet

from billing.personal_data.identity import Identity
from config.personal_data.models import PersonalDataErasure
from config.webhooks.models import DeliveryState, WebhookAttempt, WebhookDelivery, WebhookMessage
from config.webhooks.names import WebhookEvent
from customers.models import Customer

CHUNK = 2_000
OVERLAP = timedelta(hours=1)  # transactions that were open during the last pass

ERASED_BODY = '{"is_erased": true}'
GIVEN_UP = "The personal data in it was erased."

type Message = dict[str, Any]


def erase_messages(customer: Customer, erasure: PersonalDataErasure, *, after: int) -> tuple[int, int | None]:
    """Erase a chunk of webhook messages about the customer; return how many, and the last id or None at the end.

    Deliveries that wait are given up: their messages would say nothing.
    """
    rows = WebhookMessage.objects.exclude(event_type=WebhookEvent.PERSONAL_DATA_ERASED)
    if erasure.checked_at is not None:
        rows = rows.filter(created_at__gte=erasure.checked_at - OVERLAP)
    messages, last = _read_chunk(rows, Identity(customer), after)
    return _erase_messages([message["pk"] for message in messages]), last


def _erase_messages(ids: list[int]) -> int:
    deliveries = WebhookDelivery.objects.filter(message__in=ids)
    deliveries.filter(state=DeliveryState.PENDING).update(
        state=DeliveryState.FAILED, next_try_at=None, last_error=GIVEN_UP
    )
    WebhookAttempt.objects.filter(delivery__message__in=ids).update(response="", error="")
    return WebhookMessage.objects.filter(pk__in=ids).exclude(body=ERASED_BODY).update(body=ERASED_BODY)


def messages_about(customer: Customer) -> Iterator[Message]:
    """Yield the webhook messages about the customer, oldest first, reading the messages in chunks."""
    identity = Identity(customer)
    last: int | None = 0
    while last is not None:
        messages, last = _read_chunk(WebhookMessage.objects.all(), identity, last)
        for message in messages:
            del message["pk"]
            yield message


def _read_chunk(rows: QuerySet[WebhookMessage], identity: Identity, after: int) -> tuple[list[Message], int | None]:
    """Return the customer's messages in the next chunk of rows, and the chunk's last id, or None if there is none."""
    chunk = list(rows.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:CHUNK])
    if not chunk:
        return [], None
    candidates = rows.filter(_maybe_about(identity), pk__gte=chunk[0], pk__lte=chunk[-1]).order_by("pk")
    columns = ("pk", "public_id", "event_type", "created_at", "body", "object_id")
    messages: list[Message] = [dict(row) for row in candidates.values(*columns)]
    return [message for message in messages if _is_about(message, identity)], chunk[-1]


def _maybe_about(identity: Identity) -> Q:
    """Select what is worth parsing: the customer's objects, and texts with the customer's IDs as JSON writes them."""
    texts = (orjson.dumps(text).decode() for text in [identity.customer.public_id, *identity.external_ids])
    return reduce(or_, (Q(body__contains=text) for text in texts), Q(object_id__in=identity.public_ids))


def _is_about(message: Message, identity: Identity) -> bool:
    object_id = message.pop("object_id")
    return object_id in identity.public_ids or identity.is_named_in(orjson.loads(message["body"]))
