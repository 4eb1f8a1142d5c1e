"""Django's `migrate`, as the owner of the tables, and the privileges of the application's role after it."""

from typing import Any

from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS

from config.db.owner import as_owner
from config.db.privileges import restrict_application


class Command(migrate.Command):
    """Migrate as DATABASE_OWNER_URL, then give the role of DATABASE_URL its privileges."""

    def handle(self, *args: Any, **options: Any) -> None:
        with as_owner():
            super().handle(*args, **options)
            if options["database"] == DEFAULT_DB_ALIAS and not (options["plan"] or options["check_unapplied"]):
                changed = restrict_application()
                if changed and options["verbosity"]:
                    self.stdout.write(f"Privileges of the application's role were set on {len(changed)} tables.")
