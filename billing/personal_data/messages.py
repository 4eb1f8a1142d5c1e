"""Erase copies of personal data in messages and logs: webhooks, stored responses, refused requests, the admin's log."""

from collections.abc import Iterator
from datetime import timedelta
from functools import reduce
from itertools import chain
from operator import or_
from typing import Any

import orjson
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Q
from psycopg import sql

from billing.personal_data.external_ids import SHORTEST, is_personal
from billing.personal_data.preview import rows_of
from config.personal_data.models import PersonalDataErasure
from config.personal_data.tables import TABLES
from config.webhooks.models import DeliveryState, WebhookAttempt, WebhookDelivery, WebhookMessage
from config.webhooks.names import WebhookEvent
from customers.models import Customer

CHUNK = 2_000
OVERLAP = timedelta(hours=1)  # transactions that were open during the last pass

ERASED_BODY = '{"is_erased": true}'
ERASED_NAME = "Erased"
GIVEN_UP = "The personal data in it was erased."
ANSWERS = """
    UPDATE config_keptanswer
    SET body = convert_to('{"message": "The personal data in this response was erased."}', 'UTF8')
    WHERE EXISTS (
        SELECT FROM unnest(%(texts)s::text[]) AS text WHERE position(convert_to(text, 'UTF8') IN body) > 0
    )
"""
REFUSALS = """
    DELETE FROM events_refusedrequest
    WHERE EXISTS (SELECT FROM unnest(%(plain)s::text[]) AS text WHERE position(text IN path || ' ' || message) > 0)
"""
ADMIN_LOG = """
    UPDATE django_admin_log SET object_repr = 'Erased', change_message = ''
    WHERE content_type_id = %(content_type)s AND object_id = ANY(%(ids)s) AND object_repr <> 'Erased'
"""

# Reports of the system, which can quote a customer's name within a sentence.
QUOTING = (
    ("billing_proofresult", "scope"),
    ("billing_proofdifference", "name"),
    *(("config_alarm", column) for column in ("message", "about", "note")),
)
QUOTES = "UPDATE {table} SET {column} = replace({column}, %(text)s, 'Erased') WHERE position(%(text)s IN {column}) > 0"


def erase_messages(customer: Customer, erasure: PersonalDataErasure, *, after: int) -> tuple[int, int | None]:
    """Erase a chunk of webhook messages about the customer; return how many, and the last id or None at the end.

    Deliveries that wait are given up: their messages would say nothing.
    """
    rows = WebhookMessage.objects.filter(pk__gt=after).order_by("pk")
    if erasure.checked_at is not None:
        rows = rows.filter(created_at__gte=erasure.checked_at - OVERLAP)
    chunk = list(rows.values_list("pk", flat=True)[:CHUNK])
    if not chunk:
        return 0, None
    about = WebhookMessage.objects.filter(_about(customer), pk__gte=chunk[0], pk__lte=chunk[-1])
    ids = list(about.exclude(event_type=WebhookEvent.PERSONAL_DATA_ERASED).values_list("pk", flat=True))
    return _erase_messages(ids), chunk[-1]


def _erase_messages(ids: list[int]) -> int:
    deliveries = WebhookDelivery.objects.filter(message__in=ids)
    deliveries.filter(state=DeliveryState.PENDING).update(
        state=DeliveryState.FAILED, next_try_at=None, last_error=GIVEN_UP
    )
    WebhookAttempt.objects.filter(delivery__message__in=ids).update(response="", error="")
    return WebhookMessage.objects.filter(pk__in=ids).exclude(body=ERASED_BODY).update(body=ERASED_BODY)


def _about(customer: Customer) -> Q:
    named = (Q(body__contains=text) for text in _quoted(customer))
    return reduce(or_, named, Q(object_id__in=_public_ids(customer)))


def messages_about(customer: Customer) -> Iterator[Any]:
    """Yield the webhook messages about the customer, oldest first."""
    rows = WebhookMessage.objects.filter(_about(customer)).order_by("pk")
    yield from rows.values("public_id", "event_type", "created_at", "body").iterator(chunk_size=500)


def erase_copies(customer: Customer) -> int:
    """Erase stored responses, refused requests and the admin's log about the customer; return how many rows."""
    with connection.cursor() as cursor:
        cursor.execute(ANSWERS, {"texts": _quoted(customer)})
        erased: int = cursor.rowcount
        cursor.execute(REFUSALS, {"plain": _plain(customer)})
        erased += cursor.rowcount
        return erased + _erase_admin_log(cursor, customer) + _erase_quotes(cursor, customer)


def _erase_quotes(cursor: CursorWrapper, customer: Customer) -> int:
    erased = 0
    texts = set(_plain(customer)) - {customer.public_id}
    if not is_personal(customer):
        texts.discard(customer.external_id)
    for text in sorted(texts, key=len, reverse=True):
        for table, column in QUOTING:
            names = {"table": sql.Identifier(table), "column": sql.Identifier(column)}
            cursor.execute(sql.SQL(QUOTES).format(**names), {"text": text})
            erased += cursor.rowcount
    return erased


def _erase_admin_log(cursor: CursorWrapper, customer: Customer) -> int:
    erased = 0
    for table in {table.label: table for table in TABLES if table.is_named and table.paths}.values():
        content_type = ContentType.objects.get_for_model(apps.get_model(table.label))
        ids = [str(pk) for pk in rows_of(table, customer.pk).values_list("pk", flat=True)]
        cursor.execute(ADMIN_LOG, {"content_type": content_type.pk, "ids": ids})
        erased += cursor.rowcount
    return erased


def _public_ids(customer: Customer) -> list[str]:
    """Return the ids of all objects that belong to the customer, as messages name them."""
    labels = {table.label: table for table in TABLES if table.paths and _has_public_id(table.label)}
    ids = (rows_of(table, customer.pk).values_list("public_id", flat=True) for table in labels.values())
    return list(chain.from_iterable(ids))


def _has_public_id(label: str) -> bool:
    return any(field.name == "public_id" for field in apps.get_model(label)._meta.fields)


def _plain(customer: Customer) -> list[str]:
    """Return the texts that say who the customer is."""
    aliases = customer.aliases.values_list("alias", flat=True)
    texts = (customer.public_id, customer.external_id, customer.email, customer.name, *aliases)
    return [text for text in texts if len(text) >= SHORTEST and text != ERASED_NAME]


def _quoted(customer: Customer) -> list[str]:
    """Return these texts as values in JSON, so that a name within another text isn't taken for the customer."""
    return [orjson.dumps(text).decode() for text in _plain(customer)]
