"""What a web process keeps between requests, cleared as if another process, just started, answered."""

from events.access import keys, limits, refused_requests
from events.ingest import hints, inbox


def clear_process_state() -> None:
    """Forget the inbox's connection, keys, rate counts, the features of hints, and refusals that aren't logged yet."""
    inbox.close()
    keys.clear_key_cache()
    clear_rate_counts()
    clear_refusals()
    clear_hints()


def clear_rate_counts() -> None:
    """Reset the counts of this process, and ask Redis again."""
    limits._redis.pause_ends = 0.0
    limits._local.cache_clear()
    limits._shared.cache_clear()


def clear_refusals() -> None:
    """Discard the counts of refused requests that aren't logged yet."""
    with refused_requests._lock:
        refused_requests._pending.clear()


def clear_hints() -> None:
    """Read the features again for the next event."""
    hints._strict.read_at = float("-inf")
