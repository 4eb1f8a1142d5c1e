import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from events.access.keys import Caller
from events.access.limits import Kind, RateLimited, limit_of, spend
from tests.process_state import clear_rate_counts
from tests.services import free_port

CALLER = Caller(
    key_id=1,
    family_id=1,
    responsible_id=None,
    name="Shop",
    prefix="sk_x",
    scopes=frozenset({"all"}),
    expires_at=None,
    revoked_at=None,
    single_per_minute=3,
    bulk_per_minute=2,
)


def allowed(caller=CALLER, kind=Kind.SINGLE, of=10):
    """Return how many of the requests are allowed."""
    count = 0
    for _ in range(of):
        try:
            spend(caller, kind)
        except RateLimited:
            continue
        count += 1
    return count


def test_a_key_may_send_requests_up_to_its_limit():
    assert allowed() == 3


def test_single_and_bulk_requests_are_counted_separately():
    assert (allowed(kind=Kind.SINGLE), allowed(kind=Kind.BULK)) == (3, 2)


def test_keys_are_counted_separately():
    assert (allowed(), allowed(replace(CALLER, key_id=2))) == (3, 3)


def test_a_refusal_says_when_to_retry():
    allowed()
    with pytest.raises(RateLimited) as reached:
        spend(CALLER, Kind.SINGLE)
    assert (reached.value.kind, reached.value.limit) == (Kind.SINGLE, 3)
    assert 1 <= reached.value.retry_after_s <= 60
    assert 0 < reached.value.reset_at - time.time() <= 61


def test_keys_without_a_limit_have_the_companys_limit(settings):
    settings.RATE_LIMIT_SINGLE_PER_MINUTE, settings.RATE_LIMIT_BULK_PER_MINUTE = 5, 4
    plain = replace(CALLER, single_per_minute=None, bulk_per_minute=None)
    assert (limit_of(plain, Kind.SINGLE), limit_of(plain, Kind.BULK)) == (5, 4)
    assert (allowed(plain), allowed(plain, Kind.BULK)) == (5, 4)


@pytest.mark.parametrize("own", [0, None])
def test_zero_means_no_limit(settings, own):
    settings.RATE_LIMIT_SINGLE_PER_MINUTE = 0
    assert allowed(replace(CALLER, single_per_minute=own), of=500) == 500


@pytest.fixture
def frequent_switches():
    """Switch between threads every microsecond, so that a race of some instructions happens in every run."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_concurrent_requests_are_counted_exactly(frequent_switches):
    if time.time() % 60 > 55:
        time.sleep(5)  # the weight of the previous minute would allow further requests
    caller = replace(CALLER, single_per_minute=500)
    # The library's memory starts a thread after each pause: all requests of a round would start it.
    together = threading.Barrier(8, action=lambda: time.sleep(0.02), timeout=10)

    def send():
        count = 0
        for _ in range(100):
            together.wait()
            count += allowed(caller, of=1)
        return count

    with ThreadPoolExecutor(8) as threads:
        counts = [result.result() for result in [threads.submit(send) for _ in range(8)]]
    assert sum(counts) == 500


# --- With Redis ---------------------------------------------------------------------------------------


@pytest.mark.redis
def test_with_redis_all_processes_share_the_limit(settings, redis_url):
    settings.REDIS_URL = redis_url
    caller = replace(CALLER, key_id=1001)
    assert allowed(caller, of=2) == 2
    clear_rate_counts()  # as another process, which has counted nothing itself
    assert allowed(caller) == 1


def test_while_redis_is_down_each_process_counts_its_own_requests(settings, caplog):
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    begun = time.monotonic()
    assert allowed() == 3
    assert time.monotonic() - begun < 1
    assert len([one for one in caplog.records if "Redis" in one.message]) == 1


def test_an_unresponsive_redis_delays_a_single_request_briefly(settings):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        begun = time.monotonic()
        assert allowed() == 3
        assert time.monotonic() - begun < 1
