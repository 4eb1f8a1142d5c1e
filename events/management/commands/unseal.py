"""`manage.py unseal`: return sealed events to PostgreSQL."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from events.history.stores import StoreFailed, is_on
from events.history.unsealing import unseal_part
from events.models import PartState, SealedPart

PAUSE_S = 1.0


class Command(BaseCommand):
    """Return all sealed events to the database, one part after the other, oldest first. Safe to stop and to repeat.

    Disable the schedule “Seal settled events” first. Once nothing is sealed any more, EVENT_HISTORY can be unset.
    """

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--part", help="Only the part of this name.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not is_on():
            raise CommandError("EVENT_HISTORY isn't set, so that sealed events can't be read.")
        parts = SealedPart.objects.exclude(state=PartState.REMOVED).order_by("pk")
        if options["part"]:
            parts = parts.filter(name=options["part"])
            if not parts:
                raise CommandError(f"--part: no part {options['part']!r}, or it is removed.")
        count = 0
        for part in parts:
            self._unseal(part)
            count += part.rows or 0
        self.stdout.write(f"{count:,} events of {len(parts):,} parts are in the database.")

    def _unseal(self, part: SealedPart) -> None:
        try:
            while not unseal_part(part):
                self.stdout.write(f"{part.name} is being read or sealed. Waiting.")
                time.sleep(PAUSE_S)
        except StoreFailed as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{part.name}: {part.rows or 0:,} events.")
