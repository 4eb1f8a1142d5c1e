"""Restore a backup: `manage.py restore latest`. The database of before is kept under another name."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.backups.keeping import find_backup
from config.backups.programs import BackupFailed
from config.backups.restoring import restore_backup, restore_beside
from config.db.clock import read_clock

OTHER_KEY = (
    "Webhook secrets and second factors in this backup were encrypted with another SECRET_KEY. "
    "Put the key of its time in SECRET_KEY_FALLBACKS, or SECRET_KEY, before starting web and worker."
)


class Command(BaseCommand):
    """Restore a backup, compare it with its manifest, put it in place, and migrate it to this release."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("backup", help="a name in BACKUP_DIR, the path of a backup, or `latest`")
        parser.add_argument("--folder", type=Path, default=settings.BACKUP_DIR, help="instead of BACKUP_DIR")
        parser.add_argument("--into", metavar="DATABASE", help="restore into a new database beside the present one")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            path = find_backup(options["folder"] or Path(), options["backup"])
            if options["into"]:
                self._restore_beside(path, options["into"])
            else:
                self._restore(path)
        except BackupFailed as error:
            raise CommandError(str(error)) from error

    def _restore(self, path: Path) -> None:
        restored = restore_backup(path, now=read_clock())
        self.stdout.write(f"Restored {path}: {restored.manifest.rows:,} rows, every table is as it was backed up.")
        self.stdout.write(f"The database of before is kept as {restored.kept_as}. Drop it when you don't need it.")
        if not restored.can_read_secrets:
            self.stdout.write(OTHER_KEY)

    def _restore_beside(self, path: Path, database: str) -> None:
        manifest = restore_beside(path, database)
        self.stdout.write(f"Restored {path} into the new database {database}: {manifest.rows:,} rows.")
