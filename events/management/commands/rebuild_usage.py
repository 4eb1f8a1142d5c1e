"""`manage.py rebuild_usage`: recount usage from the ledger, show the differences, and correct them with --apply."""

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
    help = "Recount usage from the ledger and show the hours that differ. Changes nothing without --apply."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--feature", help="Only this feature: its id (feat_…) or lookup key.")
        parser.add_argument("--customer", help="Only this customer: the external customer ID.")
        parser.add_argument("--from", dest="start", help="From this time (ISO 8601; UTC without a time zone).")
        parser.add_argument("--to", dest="end", help="Up to this time.")
        parser.add_argument("--apply", action="store_true", help="Correct the hours that differ.")
        parser.add_argument("--reason", default="", help="Stored with the check.")

    def handle(self, *args: Any, **options: Any) -> None:
        start, end = moment(options["start"], "--from"), moment(options["end"], "--to")
        if start and end and start >= end:
            raise CommandError("--to must be later than --from.")
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
                f"stored {line['kept_events']} events ({line['kept_total']}), "
                f"ledger {line['counted_events']} ({line['counted_total']})"
            )
        outcome = "corrected" if options["apply"] else "differ; run with --apply to correct them"
        self.stdout.write(f"{check.differing} hours {outcome}." if check.differing else "Usage matches the ledger.")

    def feature(self, name: str | None) -> int | None:
        if name is None:
            return None
        features = Feature.objects.filter(public_id=name) | Feature.objects.filter(key=name)
        return self.known(features.values_list("pk", flat=True).first(), f"--feature: no feature {name!r}.")

    def customer(self, external_id: str | None) -> int | None:
        if external_id is None:
            return None
        customer_id = Customer.objects.filter(external_id=external_id).values_list("pk", flat=True).first()
        return self.known(customer_id, f"--customer: no customer {external_id!r}.")

    @staticmethod
    def known(row_id: int | None, error: str) -> int:
        if row_id is None:
            raise CommandError(error)
        return row_id


def moment(text: str | None, option: str) -> datetime | None:
    """Read an ISO 8601 time or date, in UTC unless it has a time zone. Raises CommandError."""
    if text is None:
        return None
    try:
        parsed = parse_datetime(text if "T" in text or " " in text else f"{text}T00:00")
    except ValueError:  # the right format, but not a real date or time
        parsed = None
    if parsed is None:
        raise CommandError(f"{option}: enter a time such as 2026-03-01T00:00Z, not {text!r}.")
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
