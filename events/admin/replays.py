"""What staff read after a replay."""

from events.ledger.replaying import Replayed


def describe_replay(replayed: Replayed) -> str:
    """Summarize what a replay did, in one sentence."""
    events = "1 event" if replayed.events == 1 else f"{replayed.events:,} events"
    return f"{events} replayed: {replayed.closed:,} problem(s) closed, {replayed.still_open:,} still open."
