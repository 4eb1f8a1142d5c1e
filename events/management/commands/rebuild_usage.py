"""`manage.py rebuild_usage`: recount usage from the ledger, show what differs, and apply it when told."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from catalog.models import Feature
from customers.models import Customer
from events.ledger.rebuilding import FIRST, LAST, Scope, rebuild_usage


class Command(BaseCommand):
    help = "Recount usage from the ledger and show the hours that differ. Changes nothing unless --apply is given."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--feature", help="Only this feature: its id (feat_…) or lookup key.")
        parser.add_argument("--customer", help="Only this customer: the external customer id.")
        parser.add_argument("--from", dest="start", help="From this moment on, ISO 8601; without a zone it is UTC.")
        parser.add_argument("--to", dest="end", help="Up to this moment.")
        parser.add_argument("--apply", action="store_true", help="Put the differing hours right.")
        parser.add_argument("--reason", default="", help="Noted with the check.")

    def handle(self, *args: Any, **options: Any) -> None:
        start, end = moment(options["start"], "--from"), moment(options["end"], "--to")
        if start and end and start >= end:
            raise CommandError("--to must come after --from.")
        scope = Scope(
            feature_id=self.feature(options["feature"]),
            customer_id=self.customer(options["customer"]),
            start=start or FIRST,
            end=end or LAST,
        )
        check = rebuild_usage(scope, apply=options["apply"], now=timezone.now(), reason=options["reason"])
        for line in check.differences:
            self.stdout.write(
                f"customer {line['customer_id']} feature {line['feature_id']} {line['hour']}: "
                f"kept {line['kept_events']} events ({line['kept_total']}), "
                f"ledger {line['counted_events']} ({line['counted_total']})"
            )
        outcome = "put right" if options["apply"] else "differ; run with --apply to put them right"
        self.stdout.write(f"{check.differing} hours {outcome}." if check.differing else "Usage equals the ledger.")

    def feature(self, name: str | None) -> int | None:
        if name is None:
            return None
        found = Feature.objects.filter(public_id=name) | Feature.objects.filter(key=name)
        return self.only(found.values_list("pk", flat=True).first(), f"--feature: no feature {name!r}.")

    def customer(self, external_id: str | None) -> int | None:
        if external_id is None:
            return None
        found = Customer.objects.filter(external_id=external_id).values_list("pk", flat=True).first()
        return self.only(found, f"--customer: no customer {external_id!r}.")

    @staticmethod
    def only(found: int | None, otherwise: str) -> int:
        if found is None:
            raise CommandError(otherwise)
        return found


def moment(text: str | None, option: str) -> datetime | None:
    """Read an ISO 8601 moment or date; without a zone it is UTC. Raises CommandError naming the option."""
    if text is None:
        return None
    try:
        parsed = parse_datetime(text if "T" in text or " " in text else f"{text}T00:00")
    except ValueError:  # well written, but no day or time that there is
        parsed = None
    if parsed is None:
        raise CommandError(f"{option}: write a moment such as 2026-03-01T00:00Z, not {text!r}.")
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
