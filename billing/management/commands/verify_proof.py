"""Verify a signed result of proofs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.proofs.signing import NotSigned, verify_result


class Command(BaseCommand):
    """Say what a signed file states, if its signature fits. Reads no database."""

    help = "Verify a signed result of proofs"
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--key", default="", help="The public key; by default the one of this installation.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            content = verify_result(options["file"].read_bytes(), options["key"])
        except (OSError, NotSigned) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"The signature fits. {content['scope']} of {content['company']}, {content['finished_at']}:")
        for result in content["results"]:
            figures = f"{result['proved']:,} of {result['checked']:,} proved, {result['differing']:,} differ"
            self.stdout.write(f"  {result['kind']}: {figures} ({result['scope']})")
