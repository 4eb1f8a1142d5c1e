"""Threads of the web process by kind of request, so that a slow kind of request doesn't hold up the others.

Each thread keeps a database connection, with the timeouts of its lane (`config/timeouts.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from config import timeouts
from config.server.observing import LANE_THREADS, LANES
from config.timeouts import Timeouts

EVENTS = frozenset({("POST", "/v1/events"), ("POST", "/v1/events/bulk")})
PROBES = frozenset({"/readyz", "/healthz", "/metrics"})
# Each checks or sets a password, which takes a third of a second of a processor on purpose.
SIGN_IN = ("/admin/login/", "/admin/password_change/", "/set-password/")
HEAVY = frozenset({"/v1/schema", "/v1/events/analytics", "/v1/events/query", "/v1/events/usage", "/v1/customers/usage"})
HEAVY_ENDINGS = (
    "/search",
    "/pdf",
    "/pdf/",
    "/zip/",
    "/export/",
    "/statement",
    "/statement/",
    "/preview",
    "/proof",
    "/personal-data",
)
HEAVY_BEGINNINGS = ("/v1/documents/", "/v1/month-ends/", "/v1/reconciliations/", "/admin/events/query/")
EXPORT = "_export="


class LaneFull(Exception):
    """All threads of the lane are busy, and as many requests wait for them as may."""


class CallerBusy(Exception):
    """The caller has as many heavy requests in progress and waiting as it may."""


class Lane:
    """A number of threads, and the requests that wait for one of them."""

    def __init__(self, name: str, threads: int, waiting: int, limits: Timeouts) -> None:
        self.name = name
        self.most = threads + waiting
        self.inside = 0
        self.busiest = 0  # since it was shown last
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads, name, initializer=timeouts.use, initargs=(limits,))

    async def run[Result](self, work: Callable[..., Result], *arguments: object) -> Result:
        """Run the work in a thread of the lane. Raises LaneFull at once if too many requests are waiting."""
        if self.inside >= self.most:
            raise LaneFull
        self.inside += 1
        self.busiest = max(self.busiest, self.inside)
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, work, *arguments)
        finally:
            self.inside -= 1


class Turns:
    """How many heavy requests one caller has in progress at a time; its further requests wait without a thread."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self.at_once = at_once
        self.most = at_once + waiting
        self._callers: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """Wait for the caller's turn. Raises CallerBusy if too many of its requests wait already."""
        turns, inside = self._callers.get(caller) or (asyncio.Semaphore(self.at_once), 0)
        if inside >= self.most:
            raise CallerBusy
        self._callers[caller] = (turns, inside + 1)
        try:
            async with turns:
                yield
        finally:
            self._leave(caller)

    def _leave(self, caller: str) -> None:
        turns, inside = self._callers.pop(caller)
        if inside > 1:
            self._callers[caller] = (turns, inside - 1)


class Lanes:
    """The lanes of a web process."""

    def __init__(self) -> None:
        self.events = Lane("events", 8, 200, timeouts.INGEST)
        self.sign_in = Lane("sign-in", 2, 50, timeouts.WEB)
        self.heavy = Lane("heavy", 3, 100, timeouts.HEAVY)
        self.health = Lane("health", 2, 200, timeouts.HEALTH)
        self.ordinary = Lane("ordinary", 4, 100, timeouts.WEB)
        self.turns = Turns(at_once=2, waiting=10)
        self.all = (self.events, self.sign_in, self.heavy, self.health, self.ordinary)

    def choose(self, method: str, path: str, query: str) -> Lane:
        """Return the lane of a request."""
        if (method, path) in EVENTS:
            return self.events
        if path in PROBES:
            return self.health
        if method == "POST" and path.startswith(SIGN_IN):
            return self.sign_in
        is_heavy = path in HEAVY or path.endswith(HEAVY_ENDINGS) or path.startswith(HEAVY_BEGINNINGS) or EXPORT in query
        return self.heavy if is_heavy else self.ordinary

    def show(self) -> None:
        """Set the metrics of the lanes."""
        for lane in self.all:
            LANES.labels(lane.name).set(lane.busiest)
            LANE_THREADS.labels(lane.name).set(lane.threads)
            lane.busiest = lane.inside

    def close(self) -> None:
        """Finish the requests in progress and end the threads."""
        for lane in self.all:
            lane.pool.shutdown(wait=True)
