"""API keys: create, authenticate, rotate, revoke. The key itself is shown once; only its SHA-256 is stored.

A key is `sk_` and 43 random characters (256 bits), which can't be guessed, so an unsalted hash is enough.
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
CACHE_S = 3.0  # how long a process may accept a key that was revoked or changed elsewhere
OUTAGE_PAUSE_S = 1.0  # how long the database isn't asked again after it was unavailable
LAST_USED_EVERY = timedelta(minutes=1)

_shape = re.compile(r"sk_[A-Za-z0-9_-]{20,120}", re.ASCII).fullmatch


class KeyRefused(Exception):
    """The key isn't accepted; the message says why: missing, unknown, revoked or expired."""


class KeysUnavailable(Exception):
    """The keys can't be checked, because the database is unavailable."""


class KeyNotActive(Exception):
    """The key is revoked, expired or already replaced, so it can't be rotated."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of an API key: `request.user` in every API view."""

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
    """Create a key and return it with its secret, which can't be retrieved again.

    A limit of None is the company's limit; 0 means no limit.
    """
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
    """Return the caller with this key. Raises KeyRefused or KeysUnavailable.

    A process caches a valid key for three seconds, so a revocation takes effect at most that much later. An expiry
    takes effect immediately.
    """
    if not presented:
        raise KeyRefused("No API key was sent: put it in the x-api-key header.")
    digest = _hash(presented)
    cached = _cache.get(digest)
    if cached is not None and cached[1] > time.monotonic():
        caller = cached[0]
    else:
        caller = _look_up_unless_down(presented, digest, now)
        _cache[digest] = (caller, time.monotonic() + CACHE_S)
    if caller.revoked_at is not None:
        raise KeyRefused(f"The API key {caller.prefix}… was revoked on {caller.revoked_at:%Y-%m-%d %H:%M} UTC.")
    if caller.expires_at is not None and caller.expires_at <= now:
        raise KeyRefused(f"The API key {caller.prefix}… expired on {caller.expires_at:%Y-%m-%d %H:%M} UTC.")
    return caller


def rotate(
    key: ApiKey, *, now: datetime, overlap: timedelta = timedelta(0), by: User | None = None
) -> tuple[ApiKey, str]:
    """Create a key with the same name, scopes and limits. The old key expires after `overlap`, unless it does earlier.

    Raises KeyNotActive if the key is revoked, expired or replaced: of two concurrent rotations, one creates a key.
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
    clear_key_cache()
    return successor, secret


def revoke(key: ApiKey, *, now: datetime) -> ApiKey:
    """Revoke the key permanently. Safe to repeat. Other processes accept the key for up to three more seconds."""
    with transaction.atomic():
        key = ApiKey.objects.select_for_update().get(pk=key.pk)
        if key.revoked_at is None:
            key.revoked_at = now
            key.save(update_fields=["revoked_at", "updated_at"])
    clear_key_cache()
    return key


def clear_key_cache() -> None:
    """Make this process look up every key again, after a key has changed."""
    _cache.clear()
    _outage.ends = 0.0


def prefix_of(presented: str) -> str:
    """Return the part of a sent key that may be logged: nothing, unless it has the form of a key."""
    return presented[:PREFIX_LENGTH] if _shape(presented) else ""


# Only existing keys are cached, so their number bounds the cache.
_cache: dict[str, tuple[Caller, float]] = {}
_touched: dict[int, datetime] = {}
_touching = threading.Lock()


class _Outage:
    """Until when the database isn't asked, by the monotonic clock, so that not every request waits for a timeout."""

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
    """Record the use of the key, at most once a minute. A locked row is skipped until the next time."""
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
        logger.warning("The last use of API key %s couldn't be recorded", key_id, exc_info=True)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
