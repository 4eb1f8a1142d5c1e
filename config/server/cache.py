"""The cache of figures that take long: in Redis, and empty while Redis doesn't respond."""

import logging
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


class FiguresCache(RedisCache):
    """Keep figures in Redis. If it doesn't respond, figures are calculated each time, and no page fails."""

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        try:
            return super().get(key, default, version)
        except RedisError as error:
            logger.warning("Redis is unavailable, so figures are calculated again: %s", error)
            return default

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        try:
            super().set(key, value, timeout, version)
        except RedisError as error:
            logger.warning("Redis is unavailable, so figures aren't kept: %s", error)
