"""How long the database may take, by kind of work: for a statement, for a lock, and between a transaction's statements.

A thread or process says once what it does (`use`); each connection that it opens gets these timeouts. Without it, as in
management commands, there are none. A web request that runs into one is answered with 503 and changes nothing.
"""

import threading
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg.errors import LockNotAvailable, QueryCanceled

SET = (
    "SELECT set_config('statement_timeout', %(statement)s, %(is_local)s),"
    " set_config('lock_timeout', %(lock)s, %(is_local)s),"
    " set_config('idle_in_transaction_session_timeout', %(idle)s, %(is_local)s)"
)


@dataclass(frozen=True)
class Timeouts:
    """Seconds; 0 means no limit."""

    statement: int
    lock: int
    idle_in_transaction: int

    def as_parameters(self, *, is_local: bool = False) -> dict[str, str | bool]:
        """Return the parameters of `SET`, which sets the timeouts on a connection, or until a transaction's end."""
        return {
            "statement": f"{self.statement}s",
            "lock": f"{self.lock}s",
            "idle": f"{self.idle_in_transaction}s",
            "is_local": is_local,
        }


INGEST = Timeouts(statement=10, lock=3, idle_in_transaction=30)
WEB = Timeouts(statement=30, lock=5, idle_in_transaction=60)
HEAVY = Timeouts(statement=60, lock=5, idle_in_transaction=120)
HEALTH = Timeouts(statement=2, lock=1, idle_in_transaction=5)
WATCHER = Timeouts(statement=10, lock=2, idle_in_transaction=60)
TASKS = Timeouts(statement=60 * 60, lock=60, idle_in_transaction=15 * 60)
# A migration that waits for a table makes everyone who comes after it wait, too.
MIGRATIONS = Timeouts(statement=0, lock=10, idle_in_transaction=0)
NONE = Timeouts(statement=0, lock=0, idle_in_transaction=0)

_kind = threading.local()


def use(timeouts: Timeouts) -> None:
    """Set the timeouts of all connections that this thread opens from now on."""
    _kind.timeouts = timeouts


def set_on(connection: BaseDatabaseWrapper, timeouts: Timeouts, *, in_transaction: bool = False) -> None:
    """Set the timeouts on an open connection, or only until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(SET, timeouts.as_parameters(is_local=in_transaction))


def set_on_new(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Set this thread's timeouts on a connection that Django has just opened."""
    timeouts = getattr(_kind, "timeouts", None)
    if timeouts is not None:
        set_on(connection, timeouts)


def limit_migrations(*, using: str, **kwargs: Any) -> None:
    """Let the migrations that are about to run wait for a lock only so long."""
    set_on(connections[using], MIGRATIONS)


def end_migrations(*, using: str, **kwargs: Any) -> None:
    """Give the connection the timeouts of this process again."""
    set_on(connections[using], getattr(_kind, "timeouts", NONE))


def is_timeout(error: Exception) -> bool:
    """Tell whether a database error is that of a timeout, after which the connection can still be used."""
    return isinstance(error.__cause__, (LockNotAvailable, QueryCanceled))


def describe(error: Exception) -> str:
    """Return what to tell the sender of a request that the database couldn't carry out."""
    if isinstance(error.__cause__, LockNotAvailable):
        return "Another change of the same data takes long. Nothing was changed. Send the same request again."
    if isinstance(error.__cause__, QueryCanceled):
        return "The request takes too long. Nothing was changed. Ask for a shorter period or for less at a time."
    return "The service is temporarily unavailable. Retry the same request."


connection_created.connect(set_on_new, dispatch_uid="timeouts")
