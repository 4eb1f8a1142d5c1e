"""Restore a backup: `manage.py restore latest`. The previous database is kept under another name."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.backups.keeping import LATEST, find_backup, list_backups
from config.backups.programs import FAILURES
from config.backups.restoring import restore_backup, restore_beside
from config.backups.results import find_problem
from config.db.errors import describe_error

OTHER_KEY = (
    "Webhook secrets and second factors in this backup were encrypted with another SECRET_KEY. "
    "Put the key of its time in SECRET_KEY_FALLBACKS, or SECRET_KEY, before starting web and worker."
)


class Command(BaseCommand):
    """Restore a backup, compare it with its manifest, migrate it to this release, and put it in place."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("backup", help="a name in BACKUP_DIR, the path of a backup, or `latest`")
        parser.add_argument("--folder", type=Path, default=settings.BACKUP_DIR, help="instead of BACKUP_DIR")
        parser.add_argument("--into", metavar="DATABASE", help="restore into a new database beside the present one")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            path = self._find(options["folder"] or Path(), options["backup"])
            if options["into"]:
                self._restore_beside(path, options["into"])
            else:
                self._restore(path)
        except FAILURES as error:
            raise CommandError(describe_error(error)) from error

    def _find(self, folder: Path, name: str) -> Path:
        """Return the backup to restore. Say which newer ones aren't the latest, because their verification failed."""
        path = find_backup(folder, name, skip_bad=True)
        for newer in list_backups(folder) if name == LATEST else ():
            if newer > path:
                self.stdout.write(f"Skipped {newer}, whose verification failed: {find_problem(newer)}")
        return path

    def _restore(self, path: Path) -> None:
        restored = restore_backup(path)
        self.stdout.write(f"Restored {path}: {restored.manifest.rows:,} rows, every table is as it was backed up.")
        if restored.kept_as:
            self.stdout.write(f"The previous database is kept as {restored.kept_as}. Drop it when you don't need it.")
        else:
            self.stdout.write("There was no previous database.")
        if not restored.manifest.can_read_secrets:
            self.stdout.write(OTHER_KEY)

    def _restore_beside(self, path: Path, database: str) -> None:
        manifest = restore_beside(path, database)
        self.stdout.write(f"Restored {path} into the new database {database}: {manifest.rows:,} rows.")
