"""Receivables, prepaid credit and numbers, added up again by SQL that nothing else uses."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import connection

from billing.kinds import ProofKind, ProofSubject
from billing.models import Invoice, NumberSeries, ProofRun, Wallet
from billing.proofs.checks.base import Coverage, Part
from billing.proofs.findings import Findings, Found
from billing.proofs.sql import statement
from config.jobs import cut_into_ranges

ROWS_AT_A_TIME = 10_000


class Receivables:
    """Every invoice: its totals are the sums of its lines, what is paid is the sum of its payments, and so on."""

    kind = ProofKind.RECEIVABLES

    def cover(self, run: ProofRun) -> Coverage | None:
        if run.month is not None:
            return None
        scope = "All invoices" if run.is_nightly else run.scope_name
        return Coverage(scope, _ranges(_invoices(run)))

    def prove(self, run: ProofRun, part: Part) -> Findings:
        ids = _invoices(run).filter(pk__gte=part.first, pk__lte=part.last).values("pk")
        return _compare("receivables", _parameters(run, part), ids.count(), ProofSubject.INVOICE)


class Wallets:
    """Every wallet, grant and credit transaction: balances are the sums of the transactions, in their order."""

    kind = ProofKind.WALLETS

    def cover(self, run: ProofRun) -> Coverage | None:
        if run.invoice_id is not None or run.month is not None:
            return None
        return Coverage("All wallets" if run.is_nightly else f"Wallets: {run.scope_name}", _ranges(_wallets(run)))

    def prove(self, run: ProofRun, part: Part) -> Findings:
        ids = _wallets(run).filter(pk__gte=part.first, pk__lte=part.last).values("pk")
        return _compare("wallets", _parameters(run, part), ids.count(), ProofSubject.WALLET)


class Numbers:
    """Every number series: each number from 1 to the last is used once, and none beyond."""

    kind = ProofKind.NUMBERS

    def cover(self, run: ProofRun) -> Coverage | None:
        if not run.is_nightly:
            return None
        return Coverage("All number series", [Part(pk, pk) for pk in NumberSeries.objects.values_list("pk", flat=True)])

    def prove(self, run: ProofRun, part: Part) -> Findings:
        series = NumberSeries.objects.get(pk=part.first)
        return _compare("numbers", {"series": series.pk}, series.next_number - 1, ProofSubject.SERIES)


def _invoices(run: ProofRun) -> "Any":
    invoices = Invoice.objects.order_by("pk")
    if run.invoice_id is not None:
        return invoices.filter(pk=run.invoice_id)
    return invoices if run.customer_id is None else invoices.filter(customer=run.customer_id)


def _wallets(run: ProofRun) -> "Any":
    wallets = Wallet.objects.order_by("pk")
    return wallets if run.customer_id is None else wallets.filter(customer=run.customer_id)


def _ranges(rows: Any) -> Sequence[Part]:
    return [Part(ids.first_id, ids.last_id) for ids in cut_into_ranges(rows.values("pk"), ROWS_AT_A_TIME)]


def _parameters(run: ProofRun, part: Part) -> dict[str, Any]:
    return {"first": part.first, "last": part.last, "customer": run.customer_id}


def _compare(name: str, parameters: dict[str, Any], checked: int, owner: ProofSubject) -> Findings:
    """Run a statement whose rows are differences: owner's id, subject, id, name, figure, stated, calculated."""
    with connection.cursor() as cursor:
        cursor.execute(statement(name), parameters)
        rows = cursor.fetchall()
    found = [
        Found(ProofSubject(subject), pk, label[:255], figure, _text(stated), _text(again))
        for _, subject, pk, label, figure, stated, again in rows
    ]
    differing = len({owner_id for owner_id, *_ in rows})
    return Findings(checked=max(checked, differing), differing=differing, found=found)


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return "" if value is None else str(value)
