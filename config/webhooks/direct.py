"""Sends messages that can't be stored first: about a database that refuses to write."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from config.webhooks.delivering import THREADS, send_message
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import Payload, list_receivers, message_of


def send_directly(event: WebhookEvent, object_type: str, payload: Payload, *, at: datetime) -> int:
    """Send a message per object to each endpoint that receives the event, once; return how many were accepted.

    Nothing is stored, and nothing is tried again: use it only for what `emit` can't store.
    """
    endpoints = list_receivers(event)
    messages = [message_of(event, object_type, object_id, body, at=at) for object_id, body in payload]
    with ThreadPoolExecutor(THREADS, thread_name_prefix="webhooks") as pool:
        sent = [pool.submit(send_message, message, endpoint, at) for message in messages for endpoint in endpoints]
    return sum(attempt.result().is_accepted for attempt in sent)
