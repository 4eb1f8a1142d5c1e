"""Everything that is stored about a customer, as one JSON document, written in chunks.

Rows are read in pages by their primary key, each page in a short statement of its own: a long export keeps no
transaction or cursor open, and each page is as it was when it was read.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.db.models import QuerySet

from billing.models import CreditNote, Invoice
from billing.personal_data.messages import messages_about
from billing.personal_data.owned import approvals_about, rows_of
from config.audit import record_change, recorded
from config.office.history import author_of
from config.personal_data.entries import entries_about, read_entry
from config.personal_data.tables import APPROVALS, TABLES
from customers.models import Customer
from events.history.lookup import sealed_events_of
from events.models import DuplicateEvent, Event, Problem

AT_ONCE = 1_000
BYTES = 64 * 1024
NOT_EXPORTED = {"balance_after", "events_checksum", "digest"}  # about the books, as internal ids are
UNCHANGED = {"id", "created_at"}  # in entries of the change log
EVENT_FIELDS = (
    *("event_id", "event_name", "external_customer_id", "occurred_at", "received_at", "source", "properties"),
)

type Rows = Iterable[Any]


def start_export(customer: Customer, *, by: User | None, now: datetime) -> Iterator[bytes]:
    """Note the export in the change log, and return the document in parts. Without `by`, an API key exports."""
    with recorded(by=by):
        record_change(customer, "personal data", "", "exported")
    return export_personal_data(customer, now=now)


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
    yield APPROVALS.label, _columns(approvals_about(customer))
    yield "documents", _documents(customer)
    names = [customer.external_id, *customer.aliases.values_list("alias", flat=True)]
    yield "events.event", _events(customer)
    yield "events.problem", _columns(Problem.objects.filter(external_customer_id__in=names))
    yield "events.duplicateevent", _columns(DuplicateEvent.objects.filter(external_customer_id__in=names))
    yield "webhook_messages", messages_about(customer)
    yield "change_log", _changes(customer)


def _events(customer: Customer) -> Rows:
    yield from _values(Event.objects.filter(customer=customer), EVENT_FIELDS)
    for event in sealed_events_of(customer.pk):
        yield {name: getattr(event, name) for name in EVENT_FIELDS}


def _columns(rows: QuerySet[Any]) -> Rows:
    fields = [field for field in rows.model._meta.concrete_fields if not (field.primary_key or field.is_relation)]
    yield from _values(rows, [field.attname for field in fields if field.attname not in NOT_EXPORTED])


def _values(rows: QuerySet[Any], names: Iterable[str]) -> Rows:
    """Yield these columns of the rows in the order of their primary keys, a page at a time."""
    ordered, last = rows.order_by("pk").values("pk", *names), 0
    while page := list(ordered.filter(pk__gt=last)[:AT_ONCE]):
        last = page[-1]["pk"]
        yield from ({name: value for name, value in row.items() if name != "pk"} for row in page)


def _changes(customer: Customer) -> Rows:
    entries, last = entries_about(customer.pk), 0
    while page := list(entries.filter(pk__gt=last)[:AT_ONCE]):
        last = page[-1].pk
        yield from map(_change, page)


def _documents(customer: Customer) -> Rows:
    """Yield the address of each issued document's PDF in the API."""
    for model, path in ((Invoice, "invoices"), (CreditNote, "creditnotes")):
        rows = model._default_manager.filter(customer=customer, number__isnull=False)
        for row in _values(rows, ("public_id", "number")):
            yield {"number": row["number"], "pdf": f"/v1/{path}/{row['public_id']}/pdf"}


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
