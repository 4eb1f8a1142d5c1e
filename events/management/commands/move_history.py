"""`manage.py move_history`: copy sealed events to another store."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from events.history.moving import copy_parts
from events.history.stores import StoreFailed, get_store, is_on, open_store


class Command(BaseCommand):
    """Copy every part from EVENT_HISTORY to another store, and prove each there. Changes nothing in the database.

    Run it while everything works, and again when the workers are stopped, which copies what was sealed meanwhile.
    Then set EVENT_HISTORY to the new address, and start the workers and web.
    """

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("address", help="The new store, as EVENT_HISTORY will name it.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not is_on():
            raise CommandError("EVENT_HISTORY isn't set, so that there is nothing to copy.")
        count = differing = 0
        try:
            target = open_store(options["address"])
            target.check()
            for part, differences in copy_parts(get_store(), target):
                count, differing = count + 1, differing + bool(differences)
                self.stdout.write(f"{part.name}: {part.rows:,} events{' differ' if differences else ''}.")
                for difference in differences:
                    self.stdout.write(f"  {difference.figure}: {difference.stated}, but {difference.found}")
        except (StoreFailed, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error
        if differing:
            raise CommandError(f"{differing:,} of {count:,} parts differ. Keep EVENT_HISTORY as it is.")
        self.stdout.write(f"{count:,} parts are copied and proven. EVENT_HISTORY can be {options['address']!r}.")
