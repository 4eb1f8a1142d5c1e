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

from config.approvals.gate import Action, find_needed_approval, require_approval
from config.approvals.kinds import ApprovalKind, Operation
from config.approvals.requests import request_approval
from config.refusals import Refused
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit
from events.access.grants import check_scopes, refuse_self_test_key
from events.models import ApiKey, Scope

logger = logging.getLogger(__name__)

PREFIX_LENGTH = 12
CACHE_S = 3.0  # how long a process may accept a key that was revoked or changed elsewhere
OUTAGE_PAUSE_S = 1.0  # how long the database isn't asked again after it was unavailable
MOVES_MONEY = {Scope.ALL.value, Scope.BILLING_WRITE.value}  # scopes that can need approval
LAST_USED_EVERY = timedelta(minutes=1)

_shape = re.compile(r"sk_[A-Za-z0-9_-]{20,120}", re.ASCII).fullmatch


class KeyRefused(Exception):
    """The key isn't accepted; the message says why: missing, unknown, revoked or expired.

    `prefix` is that of a revoked or expired key, and blank if there is no such key.
    """

    def __init__(self, message: str, prefix: str = "") -> None:
        super().__init__(message)
        self.prefix = prefix


class KeysUnavailable(Exception):
    """The keys can't be checked, because the database is unavailable."""


class KeyNotActive(Refused):
    """The key is revoked, expired or already replaced, so it can't be rotated."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of an API key: `request.user` in every API view."""

    key_id: int
    family_id: int
    responsible_id: int | None
    name: str
    prefix: str
    scopes: frozenset[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    single_per_minute: int | None
    bulk_per_minute: int | None
    awaits_approval: bool = False
    created_by_id: int | None = None

    is_authenticated: ClassVar[bool] = True
    is_active: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

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
    by_key: Caller | None = None,
    responsible_id: int | None = None,
    replaces: ApiKey | None = None,
    overlap: timedelta = timedelta(0),
) -> tuple[ApiKey, str]:
    """Create a key and return it with its secret, which can't be retrieved again. Sends a webhook.

    A key that can move money may need approval: it is created, but refused until someone else has approved it.
    `overlap` is how long the key that it `replaces` works after that.

    A limit of None is the company's limit; 0 means no limit. The colleague who creates a key is responsible for it; a
    key that another key creates, `by_key`, has a `responsible_id` and was created by who created that key, since they
    can know both secrets. Raises `ScopesRefused` if `created_by` may not grant a scope.
    """
    created_by_id = by_key.created_by_id if by_key else None
    if created_by is not None:
        check_scopes(created_by, scopes := list(scopes))
        created_by_id = responsible_id = created_by.pk
    secret = f"sk_{secrets.token_urlsafe(32)}"
    while ApiKey.objects.filter(prefix=secret[:PREFIX_LENGTH]).exists():
        secret = f"sk_{secrets.token_urlsafe(32)}"
    key = ApiKey(
        name=name,
        prefix=secret[:PREFIX_LENGTH],
        secret_hash=hash_secret(secret),
        scopes=list(scopes),
        expires_at=expires_at,
        single_per_minute=single_per_minute,
        bulk_per_minute=bulk_per_minute,
        family=(replaces.family or replaces.pk) if replaces else None,
        created_by_id=created_by_id,
        responsible_id=responsible_id,
        replaces=replaces,
    )
    key.full_clean(exclude=["created_by", "responsible"])
    event = WebhookEvent.API_KEY_ROTATED if replaces else WebhookEvent.API_KEY_CREATED
    with transaction.atomic():
        key.save(force_insert=True)
        if (needed := find_needed_approval(_describe(key, overlap), by=created_by)) is not None:
            key.awaits_approval = True
            key.save(update_fields=["awaits_approval"])
            request_approval(needed, now=key.created_at)
        emit(event, "api_key", [key.pk], at=key.created_at)
    return key, secret


def _describe(key: ApiKey, overlap: timedelta) -> Action:
    """Describe a new key to who decides about it. Only those that can move money are covered by a rule."""
    moves_money = bool(MOVES_MONEY & set(key.scopes))
    scopes = ", ".join(f"“{Scope(scope).label}”" for scope in key.scopes)
    effect = f"Client systems can use the key: {scopes}."
    if key.replaces is not None:
        hours = overlap // timedelta(hours=1)
        when = f"{hours} hours after the approval" if hours else "with the approval"
        effect += f" The key that it replaces, {key.replaces.prefix}…, stops working {when}."
    return Action(
        Operation.ACTIVATE_KEY,
        [ApprovalKind.API_KEY] if moves_money else [],
        [key],
        {"scopes": sorted(key.scopes), "overlap_s": int(overlap.total_seconds())},
        title=f"Activate the API key {key}",
        effect=effect,
    )


def activate(key: ApiKey, *, overlap: timedelta, now: datetime, by: User | None) -> ApiKey:
    """Let an approved key be used, and end the key that it replaces. An active key is returned unchanged."""
    with transaction.atomic():
        key = ApiKey.objects.select_for_update(of=("self",)).select_related("replaces").get(pk=key.pk)
        if key.revoked_at is not None:
            raise KeyNotActive(f"{key} is revoked.")
        if not key.awaits_approval:
            return key
        require_approval(_describe(key, overlap), by=by)
        key.awaits_approval = False
        key.save(update_fields=["awaits_approval", "updated_at"])
        if key.replaces is not None:
            _expire(key.replaces, overlap=overlap, now=now)
    clear_key_cache()
    return key


def _expire(key: ApiKey, *, overlap: timedelta, now: datetime) -> None:
    key.expires_at = min(key.expires_at or now + overlap, now + overlap)
    key.save(update_fields=["expires_at", "updated_at"])


def authenticate(presented: str, *, now: datetime) -> Caller:
    """Return the caller with this key. Raises KeyRefused or KeysUnavailable.

    A process caches a valid key for three seconds, so a revocation takes effect at most that much later. An expiry
    takes effect immediately.
    """
    if not presented:
        raise KeyRefused("No API key was sent: put it in the x-api-key header.")
    digest = hash_secret(presented)
    cached = _cache.get(digest)
    if cached is not None and cached[1] > time.monotonic():
        caller = cached[0]
    else:
        caller = _look_up_unless_down(presented, digest, now)
        _cache[digest] = (caller, time.monotonic() + CACHE_S)
    if caller.revoked_at is not None:
        message = f"The API key {caller.prefix}… was revoked on {caller.revoked_at:%Y-%m-%d %H:%M} UTC."
        raise KeyRefused(message, caller.prefix)
    if caller.awaits_approval:
        message = f"The API key {caller.prefix}… waits for approval by a second colleague."
        raise KeyRefused(message, caller.prefix)
    if caller.expires_at is not None and caller.expires_at <= now:
        message = f"The API key {caller.prefix}… expired on {caller.expires_at:%Y-%m-%d %H:%M} UTC."
        raise KeyRefused(message, caller.prefix)
    return caller


def rotate(
    key: ApiKey,
    *,
    now: datetime,
    overlap: timedelta = timedelta(0),
    by: User | None = None,
    by_key: Caller | None = None,
) -> tuple[ApiKey, str]:
    """Create a key with the same name, scopes and limits. The old key expires after `overlap`, unless it does earlier.

    If the new key needs approval, the old one works until then. Both have the same idempotency keys, so a request that
    is repeated with the new key isn't carried out again.
    Raises KeyNotActive if the key is revoked, expired or replaced: of two concurrent rotations, one creates a key.
    Raises `ScopesRefused` if `by` may not grant the key's scopes, because the new secret would be theirs, and
    `SelfTestKeyRefused`.
    """
    refuse_self_test_key(key)
    with transaction.atomic():
        key = ApiKey.objects.select_for_update().get(pk=key.pk)
        is_replaced = key.replaced_by.exclude(awaits_approval=True, revoked_at__isnull=False).exists()
        if key.revoked_at or key.awaits_approval or (key.expires_at and key.expires_at <= now) or is_replaced:
            raise KeyNotActive(f"{key} is revoked, expired, waiting for approval or already replaced.")
        successor, secret = make_key(
            key.name,
            scopes=key.scopes,
            expires_at=key.expires_at,
            single_per_minute=key.single_per_minute,
            bulk_per_minute=key.bulk_per_minute,
            created_by=by,
            by_key=by_key,
            responsible_id=key.responsible_id,
            replaces=key,
            overlap=overlap,
        )
        if not successor.awaits_approval:
            _expire(key, overlap=overlap, now=now)
    clear_key_cache()
    return successor, secret


def revoke(key: ApiKey, *, now: datetime) -> ApiKey:
    """Revoke the key permanently. Safe to repeat. Other processes accept the key for up to three more seconds.

    Raises `SelfTestKeyRefused`.
    """
    refuse_self_test_key(key)
    with transaction.atomic():
        key = ApiKey.objects.select_for_update().get(pk=key.pk)
        if key.revoked_at is None:
            key.revoked_at = now
            key.save(update_fields=["revoked_at", "updated_at"])
            emit(WebhookEvent.API_KEY_REVOKED, "api_key", [key.pk], at=now)
    clear_key_cache()
    return key


def change_key(key: ApiKey, **values: str | int | None) -> ApiKey:
    """Change the key's name and limits. Other processes use the old limits for up to three more seconds."""
    for name, value in values.items():
        setattr(key, name, value)
    key.full_clean(exclude=["created_by", "responsible"])
    key.save(update_fields=[*values, "updated_at"])
    clear_key_cache()
    return key


def clear_key_cache() -> None:
    """Make this process look up every key again, after a key has changed."""
    _cache.clear()
    _outage.ends = 0.0


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
        family_id=key.family or key.pk,
        responsible_id=key.responsible_id,
        name=key.name,
        prefix=key.prefix,
        scopes=frozenset(key.scopes),
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        awaits_approval=key.awaits_approval,
        created_by_id=key.created_by_id,
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


def hash_secret(secret: str) -> str:
    """Return the hash under which a key is stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
