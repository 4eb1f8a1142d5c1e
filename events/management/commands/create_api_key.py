"""`manage.py create_api_key NAME`: create an API key and print only the key."""

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from config.approvals.gate import without_approval
from events.access.keys import make_key
from events.models import Scope


class Command(BaseCommand):
    help = "Create an API key and print it. The key is shown only once; only its hash is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="What the key is for, shown to staff.")
        parser.add_argument(
            "--scope",
            action="append",
            choices=Scope.values,
            help="What the key may do; repeatable. Default: all.",
        )
        parser.add_argument("--expires-in-days", type=int, metavar="DAYS", help="Default: never.")
        parser.add_argument(
            "--single-per-minute", type=int, metavar="N", help="Default: the company's limit. 0 means no limit."
        )
        parser.add_argument(
            "--bulk-per-minute", type=int, metavar="N", help="Default: the company's limit. 0 means no limit."
        )

    def handle(self, *args: Any, **options: Any) -> str:
        days = options["expires_in_days"]
        if days is not None and days < 1:
            raise CommandError("--expires-in-days must be at least 1.")
        try:
            with without_approval():  # who can run commands on the server can do everything
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
