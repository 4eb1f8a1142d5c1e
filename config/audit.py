"""Who changed what, when and why: the audit log, with a reason beside every change that has one."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from auditlog.cid import get_cid
from auditlog.diff import model_instance_diff
from auditlog.models import LogEntry
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q, QuerySet
from django.db.models.signals import pre_save

from config.db.bulk_insert import copy_in


@dataclass(frozen=True, slots=True)
class _Explanation:
    by: User | None
    reason: str


_explanation: ContextVar[_Explanation | None] = ContextVar("explanation", default=None)


@contextmanager
def recorded(*, by: User | None, reason: str = "") -> Iterator[None]:
    """Sign every audited change inside the block with its author and reason. An inner block outranks an outer one."""
    token = _explanation.set(_Explanation(by, reason))
    try:
        yield
    finally:
        _explanation.reset(token)


def sign_entry(sender: Any, instance: LogEntry, **kwargs: Any) -> None:
    """Fill in author and reason as the log entry is written. Without an author, the request's own user stays."""
    explanation = _explanation.get()
    if explanation is None:
        return
    if explanation.by is not None and instance.actor_id is None:
        instance.actor = explanation.by
        instance.actor_email = explanation.by.email
    if explanation.reason:
        instance.additional_data = {**(instance.additional_data or {}), "reason": explanation.reason}


def record_changes(pairs: Iterable[tuple[Model, Model]]) -> None:
    """Write into the history what became of rows, each as it was and as it is: as saving each by itself would.

    For whoever writes many in one statement, in the transaction of that. One statement for all of them; a row without
    a change has no entry.
    """
    entries = [entry for before, after in pairs if (entry := _entry_of(before, after)) is not None]
    for entry in entries:
        pre_save.send(sender=LogEntry, instance=entry, raw=False, using=None, update_fields=None)
    copy_in(entries)


def _entry_of(before: Model, after: Model) -> LogEntry | None:
    changes = model_instance_diff(before, after, use_json_for_changes=settings.AUDITLOG_STORE_JSON_CHANGES)
    if not changes:
        return None
    return LogEntry(
        content_type=ContentType.objects.get_for_model(after),
        object_pk=str(after.pk),
        object_id=after.pk,
        object_repr=str(after),
        action=LogEntry.Action.UPDATE,
        changes=changes,
        cid=get_cid(),
    )


def changes_of(objects: Iterable[Model], *, also: Q | None = None) -> QuerySet[LogEntry]:
    """Return the recorded changes of the objects, the newest first, authors loaded. One query for any number.

    `also` chooses further entries, of rows that may be gone.
    """
    by_type: dict[int, list[int]] = {}
    for found in objects:
        by_type.setdefault(ContentType.objects.get_for_model(found).pk, []).append(found.pk)
    wanted = Q(pk__in=[])
    for content_type, keys in by_type.items():
        wanted |= Q(content_type=content_type, object_id__in=keys)
    entries: QuerySet[LogEntry] = LogEntry.objects.filter(wanted if also is None else wanted | also)
    return entries.select_related("actor", "content_type").order_by("-timestamp", "-pk")
