"""`manage.py month_end 2026-09` prints the month-end report as CSV."""

import csv
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from billing.month_end.months import Month
from billing.month_end.report import HEADINGS, month_end, table_rows
from config.office.files import csv_row


class Command(BaseCommand):
    """Print a month-end report as CSV. Read-only."""

    help = "Prints the month-end report of a month as CSV."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("month", help="for example 2026-09")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            month = Month.named(options["month"])
        except ValueError as error:
            raise CommandError("Enter the month as YYYY-MM, for example 2026-09.") from error
        writer = csv.writer(self.stdout, lineterminator="\n")
        writer.writerow(HEADINGS)
        for row in table_rows(month_end(month, now=timezone.now())):
            writer.writerow(csv_row(row))
