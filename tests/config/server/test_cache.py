"""Figures that take long are kept in Redis."""

import pytest

from config.server.cache import FiguresCache
from tests.services import free_port


@pytest.mark.redis
def test_figures_are_kept(redis_url):
    cache = FiguresCache(redis_url, {})
    cache.set("seen", [1], 60)
    assert cache.get("seen") == [1]


def test_without_redis_nothing_is_kept_and_nothing_fails():
    cache = FiguresCache(f"redis://127.0.0.1:{free_port()}/0", {"OPTIONS": {"socket_connect_timeout": 1}})
    cache.set("seen", [1], 60)
    assert cache.get("seen") is None
