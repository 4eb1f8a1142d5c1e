"""Rate limits: how many single and bulk requests a key may send, each over a sliding minute, in constant time.

With REDIS_URL all web processes share the counts. Without it, or while Redis is unavailable, each process counts its
own requests, so the limit is per process; no request is refused because Redis is unavailable.
"""

import logging
import math
import threading
import time
from enum import StrEnum
from functools import cache

from django.conf import settings
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from events.access.keys import Caller

logger = logging.getLogger(__name__)

REDIS_TIMEOUT_S = 0.2
REDIS_PAUSE_S = 5.0  # how long Redis isn't asked again after a failure


class Kind(StrEnum):
    SINGLE = "single"
    BULK = "bulk"


class RateLimited(Exception):
    """The key has reached its limit. The next request is allowed at `reset_at` (Unix time in seconds)."""

    def __init__(self, kind: Kind, limit: int, reset_at: int) -> None:
        super().__init__(f"{limit} {kind} requests a minute")
        self.kind = kind
        self.limit = limit
        self.reset_at = reset_at
        self.retry_after_s = max(1, reset_at - int(time.time()))


def spend(caller: Caller, kind: Kind) -> None:
    """Count a request against the key's limit. Raises RateLimited, which counts nothing."""
    limit = limit_of(caller, kind)
    if limit == 0:
        return
    item, name = _item(limit), f"{caller.key_id}:{kind}"
    allowed_at = _hit_shared(item, name) if settings.REDIS_URL else _hit_local(item, name)
    if allowed_at is not None:
        raise RateLimited(kind, limit, math.ceil(allowed_at))


def limit_of(caller: Caller, kind: Kind) -> int:
    """Return the allowed requests per minute: the key's limit, or else the company's. 0 means no limit."""
    if kind is Kind.SINGLE:
        limit, default = caller.single_per_minute, settings.RATE_LIMIT_SINGLE_PER_MINUTE
    else:
        limit, default = caller.bulk_per_minute, settings.RATE_LIMIT_BULK_PER_MINUTE
    return int(default) if limit is None else limit


# The library's memory storage isn't thread-safe: two threads may start its timer twice, which raises an error.
_counting = threading.Lock()


class _Redis:
    """When Redis may be asked again, by the monotonic clock."""

    pause_ends = 0.0


_redis = _Redis()


def _hit_shared(item: RateLimitItemPerMinute, name: str) -> float | None:
    if _redis.pause_ends <= time.monotonic():
        try:
            return _hit(_shared(), item, name)
        except RedisError as error:
            _redis.pause_ends = time.monotonic() + REDIS_PAUSE_S
            logger.warning("Redis is unavailable, so this process counts its own requests: %s", error)
    return _hit_local(item, name)


def _hit_local(item: RateLimitItemPerMinute, name: str) -> float | None:
    with _counting:
        return _hit(_local(), item, name)


def _hit(limiter: SlidingWindowCounterRateLimiter, item: RateLimitItemPerMinute, name: str) -> float | None:
    """Count the request, or return the Unix time at which the next is allowed."""
    return None if limiter.hit(item, name) else limiter.get_window_stats(item, name).reset_time


@cache
def _item(limit: int) -> RateLimitItemPerMinute:
    return RateLimitItemPerMinute(limit, namespace="countinghouse")


@cache
def _local() -> SlidingWindowCounterRateLimiter:
    return SlidingWindowCounterRateLimiter(MemoryStorage())


@cache
def _shared() -> SlidingWindowCounterRateLimiter:
    pool = ConnectionPool.from_url(
        settings.REDIS_URL,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),  # the client's default would delay the request for seconds
    )
    return SlidingWindowCounterRateLimiter(RedisStorage(settings.REDIS_URL, connection_pool=pool))
