"""Django's `migrate`, as the owner of the tables, and the privileges of the application's role after it."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS, OperationalError
from psycopg.errors import LockNotAvailable

from config.db.owner import as_owner
from config.db.privileges import restrict_application
from config.db.unfinished import drop_unfinished_indexes
from config.timeouts import MIGRATIONS

LOCKED = (
    "A migration couldn't lock its table within {seconds} seconds, because another session uses it: a long query, a "
    "backup, or a transaction that someone left open. That migration changed nothing, and those before it are "
    "applied. Run migrate again, when the session is done:\n"
    "  SELECT pid, state, xact_start, left(query, 80) FROM pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY 3;"
)


class Command(migrate.Command):
    """Migrate as DATABASE_OWNER_URL, then give the role of DATABASE_URL its privileges."""

    def handle(self, *args: Any, **options: Any) -> None:
        with as_owner():
            is_ours = options["database"] == DEFAULT_DB_ALIAS and not (options["plan"] or options["check_unapplied"])
            if is_ours:
                drop_unfinished_indexes()
            self._migrate(*args, **options)
            if is_ours:
                changed = restrict_application()
                if changed and options["verbosity"]:
                    self.stdout.write(f"Privileges of the application's role were set on {len(changed)} tables.")

    def _migrate(self, *args: Any, **options: Any) -> None:
        try:
            super().handle(*args, **options)
        except OperationalError as error:
            if isinstance(error.__cause__, LockNotAvailable):
                raise CommandError(LOCKED.format(seconds=MIGRATIONS.lock)) from error
            raise
