"""Back up the database to BACKUP_DIR, while everything runs: `manage.py backup --verify`."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.backups.keeping import find_backup, list_backups
from config.backups.manifest import Manifest
from config.backups.models import Backup
from config.backups.programs import FAILURES
from config.backups.results import read_result
from config.backups.running import back_up, verify_again
from config.db.clock import read_clock
from config.db.errors import describe_error


class Command(BaseCommand):
    """Make a backup, and delete all but the newest BACKUP_KEEP. Exits with 1 if it fails or differs."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--folder", type=Path, default=settings.BACKUP_DIR, help="instead of BACKUP_DIR")
        parser.add_argument("--verify", action="store_true", help="restore it into a scratch database and compare")
        parser.add_argument("--verify-only", metavar="NAME", help="verify an existing backup, or `latest`")
        parser.add_argument("--list", action="store_true", help="list the backups, the newest first")

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path | None = options["folder"]
        if folder is None:
            raise CommandError("Set BACKUP_DIR, or pass --folder: where should the backup go?")
        if options["list"]:
            self._list(folder)
        elif options["verify_only"]:
            self._verify(folder, options["verify_only"])
        else:
            self._back_up(folder, verify=options["verify"])

    def _back_up(self, folder: Path, *, verify: bool) -> None:
        backup = back_up(folder, verify=verify, now=read_clock())
        if backup.problem:
            raise CommandError(backup.problem)
        self.stdout.write(f"{folder / backup.name}: {_describe(backup)}.")

    def _verify(self, folder: Path, name: str) -> None:
        try:
            path = find_backup(folder, name, skip_bad=False)
            backup = verify_again(path, now=read_clock())
        except FAILURES as error:
            raise CommandError(describe_error(error)) from error
        if backup.problem:
            raise CommandError(f"{path}: {backup.problem}")
        self.stdout.write(f"{path}: restored into a scratch database; every table is as it was backed up.")

    def _list(self, folder: Path) -> None:
        for path in list_backups(folder):
            manifest = Manifest.read(path)
            size = f"{manifest.dump_bytes / 1e6:,.1f} MB  {manifest.rows:,} rows"
            self.stdout.write(f"{path}  {size}  {_describe_result(path)}")


def _describe_result(path: Path) -> str:
    result = read_result(path)
    if result is None:
        return "not verified"
    return f"failed: {result.problem}" if result.problem else "verified"


def _describe(backup: Backup) -> str:
    verified = "; restored into a scratch database, every table is the same" if backup.verified_at else ""
    return f"{backup.rows:,} rows in {backup.tables} tables, {backup.size / 1e6:,.1f} MB{verified}"
