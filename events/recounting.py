"""Usage counted anew from the ledger: after events were replayed or voided, and to prove that buckets are right."""

from typing import Any

from events.statements import compose, counted, section, sections, statement, sums

TOUCHED_SCOPE = """
touched
JOIN catalog_feature AS feature ON feature.id = touched.feature_id
JOIN ({names}) AS named ON named.id = feature.id
JOIN events_event AS event
    ON event.customer_id = touched.customer_id AND event.event_name = named.name
    AND event.occurred_at >= touched.hour AND event.occurred_at < touched.hour + interval '1 hour'
"""


def prepare_recount(cursor: Any) -> None:
    """Make this connection's scratch tables for recounts, unless it has them."""
    cursor.execute(statement("touched"))
    cursor.execute("DELETE FROM touched; DELETE FROM recounted")


def recount_touched(cursor: Any) -> int:
    """Recount the hours in `touched` and give how many there are; those that are invoiced are noted.

    Needs a transaction under READ COMMITTED that holds the configuration lock (shared), so that the rollup's mark stays
    where it is. Safe beside running batches: see the locks in recount.sql. A second call finds the same.
    """
    steps = sections("recount")
    cursor.execute(steps["open"])
    cursor.execute(steps["lock"])
    hours: int = cursor.rowcount
    cursor.execute(compose(steps["read"], counted=counted(scope=TOUCHED_SCOPE)))
    cursor.execute(compose(steps["write"], sums=sums("recounted")))
    cursor.execute(steps["close"])
    cursor.execute(steps["forget_values"])
    cursor.execute(steps["write_values"])
    days = sections("days")
    for step in ("open", "lock", "write", "close"):
        cursor.execute(compose(days[step], touched=days["touched"]))
    cursor.execute(section("late", "note_recounted"))
    return hours
