"""The change log: who changed what, when and why."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from auditlog.cid import get_cid
from auditlog.context import auditlog_value
from auditlog.diff import model_instance_diff
from auditlog.models import LogEntry
from django.conf import settings
from django.contrib.auth.hashers import is_password_usable
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q, QuerySet
from django.db.models.signals import pre_save

from config.db.bulk_insert import copy_in
from config.personal_data.entries import protect, with_keys


@dataclass(frozen=True, slots=True)
class _Explanation:
    by: User | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Behalf:
    user: User | None
    key: str
    approved_by: str
    approval: str


_behalf: ContextVar[_Behalf | None] = ContextVar("behalf", default=None)
_explanation: ContextVar[_Explanation | None] = ContextVar("explanation", default=None)
_api_key: ContextVar[str] = ContextVar("api_key", default="")
_logged: ContextVar[Model | None] = ContextVar("logged", default=None)


@contextmanager
def recorded(*, by: User | None, reason: str = "") -> Iterator[None]:
    """Record the author and reason of every audited change inside the block. Inner blocks override outer blocks."""
    token = _explanation.set(_Explanation(by, reason))
    try:
        yield
    finally:
        _explanation.reset(token)


@contextmanager
def recorded_by_key() -> Iterator[None]:
    """Record the API key that `name_key` names as the author of every audited change inside the block."""
    token = _api_key.set("")
    try:
        yield
    finally:
        _api_key.reset(token)


@contextmanager
def recorded_on_behalf(user: User | None, *, key: str, approved_by: str, approval: str) -> Iterator[None]:
    """Record the requester as the author of every audited change inside the block, and who approved it."""
    token = _behalf.set(_Behalf(user, key, approved_by, approval))
    request = auditlog_value.get({})
    request_token = auditlog_value.set({**request, "actor": None}) if request else None  # the approver isn't the author
    try:
        yield
    finally:
        _behalf.reset(token)
        if request_token is not None:
            auditlog_value.reset(request_token)


def name_key(key: str) -> None:
    """Name the API key of the current request, as the change log shows it."""
    _api_key.set(key)


def note_logged(sender: Any, instance: Model, **kwargs: Any) -> None:
    """Note the row whose change is about to be logged, for `protect_entry`."""
    _logged.set(instance)


def protect_entry(sender: Any, instance: LogEntry, **kwargs: Any) -> None:
    """Encrypt the personal values of a log entry before it is saved, after it was signed."""
    row = _logged.get()
    if row is not None and (str(instance.object_pk), instance.content_type_id) == (str(row.pk), _type_of(row)):
        _logged.set(None)
        protect([(instance, row)])


def _type_of(row: Model) -> int:
    return ContentType.objects.get_for_model(row).pk


def sign_entry(sender: Any, instance: LogEntry, **kwargs: Any) -> None:
    """Add author and reason to a log entry before it is saved. Without an author, the request's user is kept."""
    if behalf := _behalf.get():
        _sign_on_behalf(instance, behalf)
    elif key := _api_key.get():
        instance.additional_data = {**(instance.additional_data or {}), "api_key": key}
    explanation = _explanation.get()
    if explanation is None:
        return
    if explanation.by is not None and instance.actor_id is None:
        instance.actor = explanation.by
        instance.actor_email = explanation.by.email
    if explanation.reason:
        instance.additional_data = {**(instance.additional_data or {}), "reason": explanation.reason}


def _sign_on_behalf(entry: LogEntry, behalf: _Behalf) -> None:
    entry.actor, entry.actor_email = behalf.user, behalf.user.email if behalf.user else ""
    values = {"approved_by": behalf.approved_by, "approval": behalf.approval}
    entry.additional_data = (entry.additional_data or {}) | values | ({"api_key": behalf.key} if behalf.key else {})


def record_changes(pairs: Iterable[tuple[Model, Model]]) -> None:
    """Write a log entry for each row that changed, given the rows before and after, as saving the rows would.

    Call it after changing many rows in one statement, in the same transaction. It takes two statements.
    """
    rows = [(entry, after) for before, after in pairs if (entry := _make_entry(before, after)) is not None]
    for entry, _ in rows:
        pre_save.send(sender=LogEntry, instance=entry, raw=False, using=None, update_fields=None)
    protect(rows)
    copy_in([entry for entry, _ in rows])


def record_change(row: Model, name: str, before: str, after: str) -> None:
    """Write a log entry for a change of a row that none of its fields hold, unless both texts are equal."""
    if before == after:
        return
    note_logged(type(row), row)
    LogEntry(
        content_type=ContentType.objects.get_for_model(row),
        object_pk=str(row.pk),
        object_id=row.pk,
        object_repr=str(row),
        action=LogEntry.Action.UPDATE,
        changes={name: [before, after]},
        cid=get_cid(),
    ).save()


def note_password(sender: Any, instance: User, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
    """Note before a user is saved whether that changes the password, for `record_password`.

    A login can replace the hash of the same password by a stronger one, which isn't a change.
    """
    change = ""
    if instance.pk is None or (update_fields is not None and "password" not in update_fields):
        pass
    elif getattr(instance, "_password", None) is not None:
        change = "changed"
    elif not instance.has_usable_password() and _has_stored_password(instance):
        change = "removed"
    instance.__dict__["change_of_password"] = change


def _has_stored_password(user: User) -> bool:
    stored = User.objects.filter(pk=user.pk).values_list("password", flat=True).first()
    return stored is not None and is_password_usable(stored)


def record_password(sender: Any, instance: User, **kwargs: Any) -> None:
    """Write a log entry for a changed password, without the password."""
    if change := instance.__dict__.pop("change_of_password", ""):
        record_change(instance, "password", "hidden", change)


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

    `also` adds further entries, such as those of deleted rows. `read_entry` shows the personal values of an entry.
    """
    by_type: dict[int, list[int]] = {}
    for row in objects:
        by_type.setdefault(ContentType.objects.get_for_model(row).pk, []).append(row.pk)
    condition = Q(pk__in=[])
    for content_type, keys in by_type.items():
        condition |= Q(content_type=content_type, object_id__in=keys)
    entries: QuerySet[LogEntry] = LogEntry.objects.filter(condition if also is None else condition | also)
    return with_keys(entries).select_related("actor", "content_type").order_by("-timestamp", "-pk")
