"""What staff read after a replay."""

from config.office.wording import plural
from events.ledger.replaying import Replayed


def describe_replay(replayed: Replayed) -> str:
    """Summarize what a replay did, in one sentence."""
    closed = f"{plural(replayed.closed, 'problem')} closed, {replayed.still_open:,} still open"
    return f"{plural(replayed.events, 'event')} replayed: {closed}."
