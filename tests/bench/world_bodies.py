"""The request bodies that the clients send. Imports no Django, so that clients start fast and stay small."""

import random
from datetime import UTC, datetime, timedelta

CUSTOMERS = 1_000


def single_body(*, seed: int) -> bytes:
    """Return the body of one event. Its id starts with @@@@@@@@, which each request replaces."""
    return _event(random.Random(seed), 1, datetime.now(UTC)).encode()


def bulk_body(events: int, *, seed: int) -> bytes:
    """Return a bulk body whose event ids start with @@@@@@@@."""
    dice, now = random.Random(seed), datetime.now(UTC)
    return ('{"events":[' + ",".join(_event(dice, no, now) for no in range(events)) + "]}").encode()


def _event(dice: random.Random, no: int, now: datetime) -> str:
    name = ("api.calls", "model.usage", "active.users")[no % 3]
    at = (now - timedelta(seconds=dice.randrange(3_600))).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return (
        f'{{"event_id":"@@@@@@@@-{dice.getrandbits(64):016x}-{no:04}","event_name":"{name}",'
        f'"external_customer_id":"cust_{dice.randrange(CUSTOMERS):04}","timestamp":"{at}","source":"bench",'
        f'"properties":{{"tokens":{dice.randrange(5_000)},"user_id":"u{dice.randrange(500)}",'
        f'"model":"large-2","region":"eu-west"}}}}'
    )
