"""Erase copies of personal data in logs and reports: stored responses, refused requests, alarms, proofs."""

from typing import Any

import orjson
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet

from billing.models import ProofResult
from billing.personal_data.identity import Identity
from billing.personal_data.owned import alarms_about, differences_about, rows_of, runs_about
from config.api.models import KeptAnswer
from config.personal_data.tables import TABLES
from customers.models import Customer

ERASED_ANSWER = b'{"message": "The personal data in this response was erased."}'
AT_ONCE = 500
# Answers worth parsing: with the customer's IDs as JSON writes them, or that begin with the ID of one of the objects.
ANSWERS = """
    SELECT id FROM config_keptanswer
    WHERE body <> %(erased)s AND (
        EXISTS (SELECT FROM unnest(%(texts)s::text[]) AS text WHERE position(convert_to(text, 'UTF8') IN body) > 0)
        OR substring(encode(substring(body for 200), 'escape') from '"id": ?"([^"]+)"') = ANY(%(ids)s)
    )
"""
# Requests for one of the customer's objects, and messages with the customer's ID. An external ID can be any word, so it
# counts only in addresses and sentences that are about external IDs.
REFUSALS = """
    DELETE FROM events_refusedrequest
    WHERE EXISTS (SELECT FROM unnest(string_to_array(path, '/')) AS segment WHERE segment = ANY(%(ids)s))
        OR position(%(customer)s IN message) > 0
        OR EXISTS (
            SELECT FROM unnest(%(external_ids)s::text[]) AS text
            WHERE position('/external/' || text || '/' IN path || '/') > 0
                OR position('customer “' || text || '”' IN message) > 0
                OR position(' ' || text || ' is the external id of ' IN ' ' || message) > 0
        )
"""
ADMIN_LOG = """
    UPDATE django_admin_log SET object_repr = 'Erased', change_message = ''
    WHERE content_type_id = %(content_type)s AND object_id = ANY(%(ids)s) AND object_repr <> 'Erased'
"""


def erase_copies(customer: Customer) -> int:
    """Erase stored responses, refused requests, the admin's log and quotes about the customer; return how many rows."""
    identity = Identity(customer)
    with connection.cursor() as cursor:
        erased = _erase_answers(cursor, identity) + _delete_refusals(cursor, identity)
        return erased + _erase_admin_log(cursor, customer) + _erase_quotes(identity)


def _erase_answers(cursor: CursorWrapper, identity: Identity) -> int:
    texts = [orjson.dumps(text).decode() for text in [identity.customer.public_id, *identity.external_ids]]
    cursor.execute(ANSWERS, {"texts": texts, "ids": list(identity.public_ids), "erased": ERASED_ANSWER})
    candidates = [pk for (pk,) in cursor.fetchall()]
    erased = 0
    for start in range(0, len(candidates), AT_ONCE):
        answers = KeptAnswer.objects.filter(pk__in=candidates[start : start + AT_ONCE])
        ids = [answer.pk for answer in answers if _is_about(bytes(answer.body), identity)]
        erased += KeptAnswer.objects.filter(pk__in=ids).update(body=ERASED_ANSWER)
    return erased


def _is_about(body: bytes, identity: Identity) -> bool:
    """Tell whether an answer names the customer. One that isn't JSON does if it has the customer's ID."""
    try:
        return identity.is_named_in(orjson.loads(body))
    except orjson.JSONDecodeError:
        return identity.customer.public_id.encode() in body


def _delete_refusals(cursor: CursorWrapper, identity: Identity) -> int:
    parameters: dict[str, Any] = {
        "ids": list(identity.public_ids),
        "customer": identity.customer.public_id,
        "external_ids": identity.external_ids,
    }
    cursor.execute(REFUSALS, parameters)
    return int(cursor.rowcount)


def _erase_admin_log(cursor: CursorWrapper, customer: Customer) -> int:
    erased = 0
    for table in {table.label: table for table in TABLES if table.is_named and table.paths}.values():
        content_type = ContentType.objects.get_for_model(apps.get_model(table.label))
        ids = [str(pk) for pk in rows_of(table, customer.pk).values_list("pk", flat=True)]
        cursor.execute(ADMIN_LOG, {"content_type": content_type.pk, "ids": ids})
        erased += cursor.rowcount
    return erased


def _erase_quotes(identity: Identity) -> int:
    """Replace the customer's names in reports about the customer's objects. Reports about others keep the words."""
    customer = identity.customer
    results = ProofResult.objects.filter(run__in=runs_about(customer).order_by().values("pk"))
    quoting: tuple[tuple[QuerySet[Any], tuple[str, ...]], ...] = (
        (alarms_about(customer), ("message", "about", "note")),
        (results, ("scope",)),
        (differences_about(customer), ("name",)),
    )
    return sum(_replace_names(rows, column, identity) for rows, columns in quoting for column in columns)


def _replace_names(rows: QuerySet[Any], column: str, identity: Identity) -> int:
    replaced = 0
    length = rows.model._meta.get_field(column).max_length
    for pk, text in list(rows.order_by("pk").values_list("pk", column)):
        if (new := identity.replace_names(text)[:length]) != text:
            replaced += rows.model._default_manager.filter(pk=pk).update(**{column: new})
    return replaced
