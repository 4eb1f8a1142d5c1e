"""Verify that no entry of the change log was changed, deleted or added afterwards."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.change_log.sealing import seal_entries
from config.change_log.verifying import Anchor, AnchorRefused, verify


class Command(BaseCommand):
    """Print the number of entries and the last hash. If an entry isn't as it was written, name it, and exit with 1."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--anchor", help="the number and hash of an earlier verification, which the chain must contain: 1204:9f86…"
        )
        parser.add_argument("--print-anchor", action="store_true", help="print only the newest number and hash")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            anchor = Anchor.parse(options["anchor"]) if options["anchor"] else None
        except AnchorRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        seal_entries()
        result = verify(anchor)
        if result.problem:
            raise CommandError(str(result))
        self.stdout.write(str(result.anchor) if options["print_anchor"] else str(result))
