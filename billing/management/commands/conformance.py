"""`manage.py conformance [DIR]`: run golden vectors against the product."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tests.conformance.driver import OWN_VECTORS, Report, read, run
from tests.conformance.scratch import NoScratchDatabase, scratch_database


class Command(BaseCommand):
    help = (
        "Run golden billing vectors and show what passed, failed and isn't offered. Fails on any core vector. "
        "Vectors of usage and invoices run in a database of their own, made for the run and dropped after it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "directory", nargs="?", default="", help="a folder of vector files; the project's own by default"
        )

    def handle(self, *args: Any, directory: str, **options: Any) -> None:
        folder = Path(directory) if directory else OWN_VECTORS
        try:
            files = read(folder)
            with scratch_database() if any(file.needs_database for file in files) else nullcontext():
                report = run(files)
        except (FileNotFoundError, NoScratchDatabase) as error:
            raise CommandError(str(error)) from error
        self._show_table(report)
        self._show_reasons(report)
        self._show_failures(report)
        if failed := len(report.failures()):
            raise CommandError(f"{failed} core vectors failed")

    def _show_table(self, report: Report) -> None:
        self.stdout.write(f"{'operation':44}{'passed':>8}{'failed':>8}{'not offered':>13}")
        for subject, counts in report.counts().items():
            self.stdout.write(f"{subject:44}{counts['passed']:>8}{counts['failed']:>8}{counts['not offered']:>13}")
        total = report.total()
        self.stdout.write(f"{'all':44}{total['passed']:>8}{total['failed']:>8}{total['not offered']:>13}")

    def _show_reasons(self, report: Report) -> None:
        for reason, count in report.not_offered().items():
            self.stdout.write(f"Not offered ({count}): {reason}")

    def _show_failures(self, report: Report) -> None:
        for profile in ("core", "variant"):
            for failure in report.failures(profile):
                self.stdout.write(f"Failed ({profile}) {failure.vector['id']}: {failure.detail}")
