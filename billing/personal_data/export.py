"""Everything that is stored about a customer, as one JSON document, written in chunks."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
from auditlog.models import LogEntry
from django.db.models import QuerySet

from billing.models import CreditNote, Invoice
from billing.personal_data.blockers import labels_of
from billing.personal_data.messages import messages_about
from billing.personal_data.preview import rows_of
from config.approvals.models import Approval
from config.office.history import author_of
from config.personal_data.entries import entries_about, read_entry
from config.personal_data.tables import APPROVALS, TABLES
from customers.models import Customer
from events.models import DuplicateEvent, Event, Problem

AT_ONCE = 1_000
BYTES = 64 * 1024
NOT_EXPORTED = {"balance_after", "events_checksum", "digest"}  # about the books, as internal ids are
UNCHANGED = {"id", "created_at"}  # in entries of the change log
EVENT_FIELDS = (
    *("event_id", "event_name", "external_customer_id", "occurred_at", "received_at", "source", "properties"),
)

type Rows = Iterable[Any]


def export_personal_data(customer: Customer, *, now: datetime) -> Iterator[bytes]:
    """Yield a JSON document of all that is stored about a customer, in parts of about 64 KiB.

    Rows are read a thousand at a time, so memory doesn't grow with the customer's history.
    """
    head = {"customer_id": customer.public_id, "exported_at": now.astimezone(UTC)}
    yield _json(head)[:-1] + b',"data":{'
    for index, (name, rows) in enumerate(_sections(customer)):
        yield (b"," if index else b"") + _json(name) + b":["
        yield from _in_parts(rows)
        yield b"]"
    yield b"}}"


def _sections(customer: Customer) -> Iterator[tuple[str, Rows]]:
    for label in dict.fromkeys(table.label for table in TABLES if table is not APPROVALS):
        table = next(table for table in TABLES if table.label == label)
        yield label, _columns(rows_of(table, customer.pk))
    yield APPROVALS.label, _columns(Approval.objects.filter(about__overlap=list(labels_of(customer))).order_by("pk"))
    yield "documents", _documents(customer)
    names = [customer.external_id, *customer.aliases.values_list("alias", flat=True)]
    yield "events.event", _events(Event.objects.filter(customer=customer).order_by("pk"))
    yield "events.problem", _columns(Problem.objects.filter(external_customer_id__in=names).order_by("pk"))
    yield (
        "events.duplicateevent",
        _columns(DuplicateEvent.objects.filter(external_customer_id__in=names).order_by("pk")),
    )
    yield "webhook_messages", messages_about(customer)
    yield "change_log", map(_change, entries_about(customer.pk).iterator(chunk_size=AT_ONCE))


def _columns(rows: QuerySet[Any]) -> Rows:
    fields = [field for field in rows.model._meta.concrete_fields if not (field.primary_key or field.is_relation)]
    names = [field.attname for field in fields if field.attname not in NOT_EXPORTED]
    yield from rows.values(*names).iterator(chunk_size=AT_ONCE)


def _events(rows: QuerySet[Event]) -> Rows:
    yield from rows.values(*EVENT_FIELDS).iterator(chunk_size=AT_ONCE)


def _documents(customer: Customer) -> Rows:
    """Yield the address of each issued document's PDF in the API."""
    for model, path in ((Invoice, "invoices"), (CreditNote, "creditnotes")):
        rows = model._default_manager.filter(customer=customer, number__isnull=False).order_by("pk")
        for public_id, numbered in rows.values_list("public_id", "number").iterator(chunk_size=AT_ONCE):
            yield {"number": numbered, "pdf": f"/v1/{path}/{public_id}/pdf"}


def _change(entry: LogEntry) -> dict[str, Any]:
    read_entry(entry)
    return {
        "at": entry.timestamp,
        "action": entry.get_action_display(),
        "object": f"{entry.content_type.app_label}.{entry.content_type.model}",
        "name": entry.object_repr,
        "changes": {name: values for name, values in (entry.changes or {}).items() if name not in UNCHANGED},
        "author": author_of(entry),
        "reason": (entry.additional_data or {}).get("reason", ""),
    }


def _in_parts(rows: Rows) -> Iterator[bytes]:
    part, size = [], 0
    for index, row in enumerate(rows):
        text = (b"," if index else b"") + _json(row)
        part.append(text)
        size += len(text)
        if size >= BYTES:
            yield b"".join(part)
            part, size = [], 0
    yield b"".join(part)


def _json(value: Any) -> bytes:
    return orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z)
