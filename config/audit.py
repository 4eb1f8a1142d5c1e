"""The change log: who changed what, when and why."""

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
    """Record the author and reason of every audited change inside the block. Inner blocks override outer blocks."""
    token = _explanation.set(_Explanation(by, reason))
    try:
        yield
    finally:
        _explanation.reset(token)


def sign_entry(sender: Any, instance: LogEntry, **kwargs: Any) -> None:
    """Add author and reason to a log entry before it is saved. Without an author, the request's user is kept."""
    explanation = _explanation.get()
    if explanation is None:
        return
    if explanation.by is not None and instance.actor_id is None:
        instance.actor = explanation.by
        instance.actor_email = explanation.by.email
    if explanation.reason:
        instance.additional_data = {**(instance.additional_data or {}), "reason": explanation.reason}


def record_changes(pairs: Iterable[tuple[Model, Model]]) -> None:
    """Write a log entry for each row that changed, given the rows before and after, as saving the rows would.

    Call it after changing many rows in one statement, in the same transaction. It takes one statement.
    """
    entries = [entry for before, after in pairs if (entry := _make_entry(before, after)) is not None]
    for entry in entries:
        pre_save.send(sender=LogEntry, instance=entry, raw=False, using=None, update_fields=None)
    copy_in(entries)


def _make_entry(before: Model, after: Model) -> LogEntry | None:
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
    """Return the recorded changes of the objects, newest first, with authors loaded. One query for any number.

    `also` adds further entries, such as those of deleted rows.
    """
    by_type: dict[int, list[int]] = {}
    for row in objects:
        by_type.setdefault(ContentType.objects.get_for_model(row).pk, []).append(row.pk)
    condition = Q(pk__in=[])
    for content_type, keys in by_type.items():
        condition |= Q(content_type=content_type, object_id__in=keys)
    entries: QuerySet[LogEntry] = LogEntry.objects.filter(condition if also is None else condition | also)
    return entries.select_related("actor", "content_type").order_by("-timestamp", "-pk")
