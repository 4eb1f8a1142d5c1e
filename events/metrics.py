"""Metrics of usage tracking: the inbox, what was processed lately, open problems, the check of usage."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Count, F, Sum
from prometheus_client.core import Metric

from config.monitoring.exposition import register_metrics
from config.monitoring.metrics import gauge, labeled
from events.models import Problem, ProblemState, ProcessedBatch
from events.overview.dashboard import waiting

LATELY = timedelta(minutes=5)
ENDINGS = ("counted", "partly", "problems", "duplicates", "conflicts")
MOST_COUNTED = 10_000


def read_inbox(now: datetime) -> Iterator[Metric]:
    """Yield how many events wait, up to a limit, and for how long."""
    inbox = waiting(now=now)
    yield gauge("inbox_events", "Accepted events that wait to be counted, up to a limit.", inbox.count)
    yield gauge("inbox_oldest_seconds", "How long the oldest of them has waited.", inbox.oldest_s)


def read_batches(now: datetime) -> Iterator[Metric]:
    """Yield what the workers processed in the last five minutes."""
    lately = ProcessedBatch.objects.filter(finished_at__gt=now - LATELY)
    sums = lately.aggregate(
        batches=Count("pk"), took=Sum(F("finished_at") - F("started_at")), **{name: Sum(name) for name in ENDINGS}
    )
    yield gauge("batches_5m", "Batches of events processed in the last five minutes.", sums["batches"])
    took = sums["took"].total_seconds() if sums["took"] else 0
    yield gauge("batch_seconds_5m", "How long these batches took together.", took)
    ended = {name: sums[name] or 0 for name in ENDINGS}
    yield labeled("events_5m", "Events processed in the last five minutes, by how they ended.", "ending", ended)


def read_problems(now: datetime) -> Iterator[Metric]:
    """Yield how many events have an open problem, up to a limit."""
    problems = Problem.objects.filter(state=ProblemState.OPEN).order_by()[: MOST_COUNTED + 1].count()
    yield gauge("problems_open", "Open problems, up to 10,001.", problems)


def register_sources() -> None:
    """Register the sources of this module."""
    register_metrics("inbox", read_inbox)
    register_metrics("batches", read_batches)
    register_metrics("problems", read_problems)
