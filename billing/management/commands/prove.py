"""Run proofs here, without a worker."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.models import Invoice, ProofDifference, ProofRun
from billing.month_end.months import Month
from billing.proofs.runs import prove_to_end, start_proofs
from config.db.clock import read_clock
from customers.models import Customer


class Command(BaseCommand):
    """Prove everything that a night proves, or one invoice, customer or month. Fails if something differs."""

    help = "Prove billing: everything, or one invoice, customer or month"

    def add_arguments(self, parser: ArgumentParser) -> None:
        scope = parser.add_mutually_exclusive_group()
        scope.add_argument("--invoice", help="The number or id of an invoice.")
        scope.add_argument("--customer", help="The external customer ID of a customer.")
        scope.add_argument("--month", help="A month such as 2026-09.")

    def handle(self, *args: Any, **options: Any) -> None:
        run = start_proofs(now=read_clock(), by=None, **_scope(options))
        run = prove_to_end(run, now=read_clock())
        for result in run.results.all():
            figures = f"{result.proved:,} of {result.checked:,} proved"
            self.stdout.write(f"{result.get_kind_display()}: {figures}, {result.waiting:,} can't be proved yet")
        differences = list(_differences(run))
        for difference in differences:
            stated = f"{difference.stated or '–'} is stored, {difference.calculated or '–'} was calculated again"
            self.stdout.write(self.style.ERROR(f"  {difference.name}, {difference.figure}: {stated}"))
        if differences:
            raise CommandError(f"{len(differences):,} figures differ.")


def _differences(run: ProofRun) -> Any:
    return ProofDifference.objects.filter(result__run=run).order_by("pk")


def _scope(options: dict[str, Any]) -> dict[str, Any]:
    if name := options["invoice"]:
        invoice = Invoice.objects.filter(number=name).first() or Invoice.objects.filter(public_id=name).first()
        return {"invoice": _known(invoice, name)}
    if name := options["customer"]:
        return {"customer": _known(Customer.objects.filter(external_id=name).first(), name)}
    if name := options["month"]:
        try:
            return {"month": Month.named(name).first}
        except ValueError as error:
            raise CommandError("Enter the month as 2026-09.") from error
    return {}


def _known[Row](row: Row | None, name: str) -> Row:
    if row is None:
        raise CommandError(f"There is no “{name}”.")
    return row
