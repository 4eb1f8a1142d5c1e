"""Whether commits wait for a synchronous standby that is gone. A 202 would wait for it, too."""

from django.db import connection

from config.alarms.pace import paced

TOO_LONG_S = paced(seconds=5).total_seconds()
COMMITS_WAIT = "Commits wait for a standby."
RETURN_STANDBY = (
    "Bring the standby back, or let the primary go on alone: ALTER SYSTEM SET synchronous_standby_names = ''; "
    "SELECT pg_reload_conf(); See docs/scaling.md."
)
# Commits take a few milliseconds. Only sessions of the same role can be seen, but these are the ones that count.
FIND = """
    SELECT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'SyncRep'
        AND state_change < clock_timestamp() - make_interval(secs => %s)
    )
"""


def commits_wait() -> bool:
    """Tell whether a commit has waited for a standby for longer than five seconds."""
    with connection.cursor() as cursor:
        cursor.execute(FIND, [TOO_LONG_S])
        return bool(cursor.fetchone()[0])
