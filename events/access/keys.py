"""API keys: make, authenticate, rotate, revoke. The key itself is shown once; only its SHA-256 is kept.

A key is `sk_` and 43 random characters (256 bits), so an unsalted hash is enough: there is nothing to guess.
"""

import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from django.contrib.auth.models import User
from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.db.models import Q

from events.models import ApiKey, Scope

logger = logging.getLogger(__name__)

PREFIX_LENGTH = 12
CACHE_S = 3.0  # how long a process may go on taking a key that was revoked or changed elsewhere
OUTAGE_PAUSE_S = 1.0  # how long the database isn't asked again after it couldn't be reached
LAST_USED_EVERY = timedelta(minutes=1)

_shape = re.compile(r"sk_[A-Za-z0-9_-]{20,120}", re.ASCII).fullmatch


class KeyRefused(Exception):
    """The presented key opens nothing; the message says why: missing, unknown, revoked or expired."""


class KeysUnavailable(Exception):
    """The database that knows the keys can't be reached just now."""


class KeyNotActive(Exception):
    """A key that is revoked, expired or already replaced can't be rotated."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a key stands for: what DRF's `request.user` is behind every API door."""

    key_id: int
    name: str
    prefix: str
    scopes: frozenset[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    single_per_minute: int | None
    bulk_per_minute: int | None

    is_authenticated: ClassVar[bool] = True
    is_active: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False

    def may(self, scope: str) -> bool:
        return scope in self.scopes or Scope.ALL in self.scopes


def make_key(
    name: str,
    *,
    scopes: Iterable[str] = (Scope.ALL,),
    expires_at: datetime | None = None,
    single_per_minute: int | None = None,
    bulk_per_minute: int | None = None,
    created_by: User | None = None,
    replaces: ApiKey | None = None,
) -> tuple[ApiKey, str]:
    """Make a key and return it with its secret, which can't be had again. Limits: None is the company's, 0 is none."""
    secret = f"sk_{secrets.token_urlsafe(32)}"
    while ApiKey.objects.filter(prefix=secret[:PREFIX_LENGTH]).exists():
        secret = f"sk_{secrets.token_urlsafe(32)}"
    key = ApiKey(
        name=name,
        prefix=secret[:PREFIX_LENGTH],
        secret_hash=_hash(secret),
        scopes=list(scopes),
        expires_at=expires_at,
        single_per_minute=single_per_minute,
        bulk_per_minute=bulk_per_minute,
        created_by=created_by,
        replaces=replaces,
    )
    key.full_clean(exclude=["created_by"])
    key.save(force_insert=True)
    return key, secret


def authenticate(presented: str, *, now: datetime) -> Caller:
    """Return whom the key stands for. Raises KeyRefused, or KeysUnavailable.

    A process remembers a good key for three seconds, so a revocation bites at most that much later; an expiry
    bites at once. Nothing else is looked up.
    """
    if not presented:
        raise KeyRefused("No API key was sent: put it in the x-api-key header.")
    digest = _hash(presented)
    remembered = _remembered.get(digest)
    if remembered is not None and remembered[1] > time.monotonic():
        caller = remembered[0]
    else:
        caller = _look_up_unless_down(presented, digest, now)
        _remembered[digest] = (caller, time.monotonic() + CACHE_S)
    if caller.revoked_at is not None:
        raise KeyRefused(f"The API key {caller.prefix}… was revoked on {caller.revoked_at:%Y-%m-%d %H:%M} UTC.")
    if caller.expires_at is not None and caller.expires_at <= now:
        raise KeyRefused(f"The API key {caller.prefix}… expired on {caller.expires_at:%Y-%m-%d %H:%M} UTC.")
    return caller


def rotate(
    key: ApiKey, *, now: datetime, overlap: timedelta = timedelta(0), by: User | None = None
) -> tuple[ApiKey, str]:
    """Make a key with the same name, scopes and limits; the old one expires after `overlap`, or earlier if it would.

    Raises KeyNotActive when the key is revoked, expired or was rotated before: two rotations at once give one key.
    """
    with transaction.atomic():
        key = ApiKey.objects.select_for_update().get(pk=key.pk)
        if key.revoked_at or (key.expires_at and key.expires_at <= now) or key.replaced_by.exists():
            raise KeyNotActive(f"{key} is revoked, expired or already replaced.")
        successor, secret = make_key(
            key.name,
            scopes=key.scopes,
            expires_at=key.expires_at,
            single_per_minute=key.single_per_minute,
            bulk_per_minute=key.bulk_per_minute,
            created_by=by,
            replaces=key,
        )
        key.expires_at = min(key.expires_at or now + overlap, now + overlap)
        key.save(update_fields=["expires_at", "updated_at"])
    forget_remembered_keys()
    return successor, secret


def revoke(key: ApiKey, *, now: datetime) -> ApiKey:
    """Close the key for good. A second call changes nothing. Other processes take it for up to three more seconds."""
    with transaction.atomic():
        key = ApiKey.objects.select_for_update().get(pk=key.pk)
        if key.revoked_at is None:
            key.revoked_at = now
            key.save(update_fields=["revoked_at", "updated_at"])
    forget_remembered_keys()
    return key


def forget_remembered_keys() -> None:
    """Have this process look every key up again; called when one changes."""
    _remembered.clear()
    _outage.ends = 0.0


def prefix_of(presented: str) -> str:
    """Return the part of a presented key that may be logged: nothing, unless it looks like a key of ours."""
    return presented[:PREFIX_LENGTH] if _shape(presented) else ""


# Only keys that exist are remembered, so their number bounds this.
_remembered: dict[str, tuple[Caller, float]] = {}
_touched: dict[int, datetime] = {}
_touching = threading.Lock()


class _Outage:
    """Until when the database isn't asked, by the monotonic clock: requests needn't all wait to find it gone."""

    ends = 0.0


_outage = _Outage()


def _look_up_unless_down(presented: str, digest: str, now: datetime) -> Caller:
    if _outage.ends > time.monotonic():
        raise KeysUnavailable
    try:
        return _look_up(presented, digest, now)
    except (OperationalError, InterfaceError) as error:
        _outage.ends = time.monotonic() + OUTAGE_PAUSE_S
        raise KeysUnavailable from error


def _look_up(presented: str, digest: str, now: datetime) -> Caller:
    key = ApiKey.objects.filter(prefix=presented[:PREFIX_LENGTH]).first() if _shape(presented) else None
    if key is None or not hmac.compare_digest(key.secret_hash, digest):
        raise KeyRefused("The API key is not known.")
    _touch(key.pk, now)
    return Caller(
        key_id=key.pk,
        name=key.name,
        prefix=key.prefix,
        scopes=frozenset(key.scopes),
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        single_per_minute=key.single_per_minute,
        bulk_per_minute=key.bulk_per_minute,
    )


def _touch(key_id: int, now: datetime) -> None:
    """Note that the key is in use, at most once a minute; a row that somebody holds is left for the next time."""
    with _touching:
        if now - _touched.get(key_id, now - 2 * LAST_USED_EVERY) < LAST_USED_EVERY:
            return
        _touched[key_id] = now
    try:
        with transaction.atomic():
            stale = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_EVERY)
            free = ApiKey.objects.filter(stale, pk=key_id).select_for_update(skip_locked=True)
            ApiKey.objects.filter(pk__in=list(free.values_list("pk", flat=True))).update(last_used_at=now)
    except DatabaseError:
        logger.warning("The last use of API key %s couldn't be noted", key_id, exc_info=True)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
