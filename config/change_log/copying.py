"""Copy the chained entries of the change log to CHANGE_LOG_STREAM, in order, each at least once."""

import logging
import time
from datetime import UTC
from typing import Any

from auditlog.models import LogEntry
from django.conf import settings
from django.db.models.functions import Now

from config.change_log.models import ChangeLogCopy, ChangeSeal
from config.change_log.targets import CopyFailed, Entry, make_target
from config.office.history import author_of, get_key
from config.personal_data.entries import mask_entries

logger = logging.getLogger(__name__)

AT_ONCE = 200
LONGEST_S = 20.0


def copy_entries(*, longest_s: float = LONGEST_S) -> int:
    """Send entries to the target until it has all, or the time is up; return how many. One call at a time.

    The place is stored after the target has confirmed a batch. A process that is killed before that sends the batch
    again: receivers recognize an entry by its number.
    """
    if not settings.CHANGE_LOG_STREAM:
        return 0
    target = make_target(settings.CHANGE_LOG_STREAM, settings.CHANGE_LOG_STREAM_SECRET)
    place, _ = ChangeLogCopy.objects.get_or_create(target=settings.CHANGE_LOG_STREAM)
    rows = ChangeLogCopy.objects.filter(pk=place.pk)
    copied, until = 0, time.monotonic() + longest_s
    while (entries := read_entries(after=place.number)) and time.monotonic() < until:
        try:
            target.send(entries)
        except CopyFailed as error:
            logger.error("The change log can't be copied: %s", error)
            rows.update(error=str(error)[:255])
            break
        place.number = entries[-1]["number"]
        rows.update(number=place.number, copied_at=Now(), error="")
        copied += len(entries)
    return copied


def read_entries(*, after: int, most: int = AT_ONCE) -> list[Entry]:
    """Return the next entries of the chain, as they are copied: with personal data of customers encrypted or erased."""
    seals = list(ChangeSeal.objects.filter(number__gt=after).order_by("number")[:most])
    entries = LogEntry.objects.select_related("actor", "content_type").in_bulk([seal.entry_id for seal in seals])
    mask_entries(entries)
    return [_describe(seal, entries.get(seal.entry_id)) for seal in seals]


def _describe(seal: ChangeSeal, entry: LogEntry | None) -> Entry:
    """Return an entry for other systems. Of an entry that was deleted, only the seal is left."""
    place: dict[str, Any] = {"number": seal.number, "hash": bytes(seal.hash or b"").hex(), "id": seal.entry_id}
    if entry is None:
        return place | {"at": "-", "is_missing": True}
    return place | {
        "at": entry.timestamp.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "action": entry.get_action_display(),
        "object": {
            "type": f"{entry.content_type.app_label}.{entry.content_type.model}",
            "id": entry.object_pk,
            "name": entry.object_repr,
        },
        "changes": entry.changes_dict,
        "actor": _actor(entry),
        "reason": (entry.additional_data or {}).get("reason", ""),
        "request_id": entry.cid or "",
        "remote_address": entry.remote_addr or "",
    }


def _actor(entry: LogEntry) -> dict[str, str]:
    if entry.actor is not None or entry.actor_email:
        return {"type": "user", "name": author_of(entry), "email": entry.actor_email or ""}
    if key := get_key(entry):
        return {"type": "api_key", "name": key}
    return {"type": "system", "name": "The system"}
