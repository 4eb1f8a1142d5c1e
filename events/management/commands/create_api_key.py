"""`manage.py create_api_key NAME`: make an API key, and print it and nothing else."""

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from events.access.keys import make_key
from events.models import Scope


class Command(BaseCommand):
    help = "Make an API key and print it. It is shown this once; only its hash is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="What the key is for, as staff will read it.")
        parser.add_argument(
            "--scope", action="append", choices=Scope.values, help="What it may do; may be repeated. Default: all."
        )
        parser.add_argument("--expires-in-days", type=int, metavar="DAYS", help="Default: never.")
        parser.add_argument("--single-per-minute", type=int, metavar="N", help="Default: the company's limit. 0: none.")
        parser.add_argument("--bulk-per-minute", type=int, metavar="N", help="Default: the company's limit. 0: none.")

    def handle(self, *args: Any, **options: Any) -> str:
        days = options["expires_in_days"]
        if days is not None and days < 1:
            raise CommandError("--expires-in-days must be at least 1.")
        try:
            _, secret = make_key(
                options["name"],
                scopes=options["scope"] or [Scope.ALL],
                expires_at=None if days is None else timezone.now() + timedelta(days=days),
                single_per_minute=options["single_per_minute"],
                bulk_per_minute=options["bulk_per_minute"],
            )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        return secret
