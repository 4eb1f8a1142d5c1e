"""Encrypt personal values in entries of the change log when they are written, and decrypt them when they are read.

An entry about a customer names the customer and the key in its additional data. Without the key, its personal values
read “erased”; the entry, its author and its time stay, and so does the chain of hashes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from auditlog.models import LogEntry
from django.apps import apps
from django.db.models import BigIntegerField, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from config.personal_data.keys import hide, keys_of, reveal
from config.personal_data.models import PersonalKey
from config.personal_data.tables import CUSTOMER, columns_of, find_customer, is_named

CUSTOMER_ID, KEY_ID = "customer", "personal_key"
HIDDEN = ("reason",)  # of the additional data
MOST_FOUND = 100


def protect(pairs: Iterable[tuple[LogEntry, Model]]) -> None:
    """Encrypt the personal values of new entries about these rows. One query, or three if a customer has no key."""
    about = [(entry, row, customer) for entry, row in pairs if (customer := find_customer(row)) is not None]
    keys = keys_of(customer for _, _, customer in about) if about else {}
    for entry, row, customer in about:
        _protect(entry, row._meta.label_lower, keys[customer])


def _protect(entry: LogEntry, label: str, key: PersonalKey) -> None:
    data = dict(entry.additional_data or {})
    if KEY_ID in data:
        return
    columns = columns_of(label)
    entry.changes = {
        name: [hide(value, key.key) for value in values] if name in columns else values
        for name, values in (entry.changes or {}).items()
    }
    if is_named(label):
        entry.object_repr = hide(entry.object_repr, key.key)
    hidden = {name: hide(data[name], key.key) for name in HIDDEN if name in data}
    entry.additional_data = data | hidden | {CUSTOMER_ID: key.customer_id, KEY_ID: key.pk}


def with_keys(entries: QuerySet[LogEntry]) -> QuerySet[LogEntry]:
    """Add each entry's key to the query, so that reading its personal values takes no further query."""
    key_id = Cast(KT(f"additional_data__{KEY_ID}"), BigIntegerField())
    keys = PersonalKey.objects.filter(pk=OuterRef("personal_key_id")).values("key")
    named: QuerySet[LogEntry] = entries.alias(personal_key_id=key_id).annotate(personal_key=Subquery(keys))
    return named


def read_entry(entry: LogEntry) -> LogEntry:
    """Decrypt the personal values of an entry, in memory; without the key they read “erased”. Safe to repeat.

    It takes a query, unless the entry comes from `with_keys`.
    """
    data = entry.additional_data or {}
    if (key_id := data.get(KEY_ID)) is None:
        return entry
    key = _key_of(entry, key_id)
    entry.object_repr = reveal(entry.object_repr, key)
    entry.changes = {name: _reveal_all(values, key) for name, values in (entry.changes or {}).items()}
    entry.additional_data = {name: reveal(value, key) if name in HIDDEN else value for name, value in data.items()}
    return entry


def _reveal_all(values: Any, key: str | None) -> Any:
    return [reveal(value, key) for value in values] if isinstance(values, list | tuple) else values


def _key_of(entry: LogEntry, key_id: int) -> str | None:
    if "personal_key" in entry.__dict__:
        return entry.__dict__["personal_key"]  # type: ignore[no-any-return]
    return PersonalKey.objects.filter(pk=key_id).values_list("key", flat=True).first()


def mask_entries(entries: Mapping[int, LogEntry]) -> None:
    """Prepare entries for another system, in memory: what can still be erased stays encrypted, the rest reads “erased”.

    One query.
    """
    ids = {key_id for entry in entries.values() if (key_id := (entry.additional_data or {}).get(KEY_ID))}
    gone = ids - set(PersonalKey.objects.filter(pk__in=ids).values_list("pk", flat=True))
    for entry in entries.values():
        if (entry.additional_data or {}).get(KEY_ID) in gone:
            entry.__dict__["personal_key"] = None
            read_entry(entry)


def entries_about(customer: int) -> QuerySet[LogEntry]:
    """Select the entries about a customer and the rows that belong to the customer, oldest first, with their keys."""
    rows = LogEntry.objects.filter(**{f"additional_data__{CUSTOMER_ID}": customer})
    return with_keys(rows).select_related("actor", "content_type").order_by("pk")


def about_customers(term: str) -> Q:
    """Select the entries about the customers whose name, email or external id contains the term."""
    match = Q(name__icontains=term) | Q(email__icontains=term) | Q(external_id__icontains=term)
    customers = apps.get_model(CUSTOMER.label)._default_manager.filter(match)
    ids: Sequence[int] = list(customers.order_by("pk").values_list("pk", flat=True)[:MOST_FOUND])
    return Q(**{f"additional_data__{CUSTOMER_ID}__in": ids}) if ids else Q(pk__in=[])
