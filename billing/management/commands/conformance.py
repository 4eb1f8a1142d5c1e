"""`manage.py conformance [PATH]` runs golden test vectors against the product."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tests.conformance.driver import CORE, VARIANT, Report, Status, run
from tests.conformance.files import OWN_VECTORS, Unreadable, read
from tests.conformance.scratch import NoScratchDatabase, scratch_database


class Command(BaseCommand):
    help = (
        "Run golden billing vectors and show which passed, failed or were skipped, and why. Fails if a core vector "
        "fails. Vectors of usage and invoices run in a temporary database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "directory",
            nargs="?",
            default="",
            help="a folder of vector files or one file (default: the project's vectors)",
        )

    def handle(self, *args: Any, directory: str, **options: Any) -> None:
        folder = Path(directory) if directory else OWN_VECTORS
        try:
            files = read(folder)
            with scratch_database() if any(file.needs_database for file in files) else nullcontext():
                report = run(files)
        except (Unreadable, NoScratchDatabase) as error:
            raise CommandError(str(error)) from error
        for note in filter(None, (file.note for file in files)):
            self.stderr.write(note)
        self._show_table(report)
        self._show_reasons(report)
        self._show_failures(report)
        total = report.total()
        self.stdout.write(", ".join(f"{total[status]} {status}" for status in Status))
        if failed := len(report.failures()):
            raise CommandError(f"{failed} core vectors failed")

    def _show_table(self, report: Report) -> None:
        self.stdout.write(f"{'operation':44}" + "".join(f"{status:>13}" for status in Status))
        for subject, counts in (report.counts() | {"all": report.total()}).items():
            self.stdout.write(f"{subject:44}" + "".join(f"{counts[status]:>13}" for status in Status))

    def _show_reasons(self, report: Report) -> None:
        for status in (Status.NOT_OFFERED, Status.BY_RULE):
            for reason, count in report.reasons(status).items():
                self.stdout.write(f"{status.capitalize()} ({count}): {reason}")
        for name, count in report.unread().items():
            self.stdout.write(f"Passed, with unread inputs ({count}): {name}")

    def _show_failures(self, report: Report) -> None:
        for profile in (CORE, VARIANT):
            for failure in report.failures(profile):
                self.stdout.write(f"Failed ({profile}) {failure.vector['id']}: {failure.detail}")
