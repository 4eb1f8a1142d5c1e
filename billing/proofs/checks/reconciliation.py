"""Every event accounted for: the reconciliation of the open months closes."""

from collections.abc import Iterator
from datetime import date

from billing.kinds import ProofKind, ProofSubject
from billing.models import ProofRun
from billing.month_end.months import Month
from billing.month_end.reconciliation import Reconciliation, reconcile_month, save_reconciliation
from billing.proofs.checks.base import Coverage, Part
from billing.proofs.findings import Findings, Found
from billing.proofs.scope import open_months


class AllEvents:
    """Every event of the open months has one outcome, and all counted usage has one billing status.

    The reconciliation is kept for its page.
    """

    kind = ProofKind.RECONCILIATION

    def cover(self, run: ProofRun) -> Coverage | None:
        if run.invoice_id is not None:
            return None
        months = [Month(run.month)] if run.month else open_months(run.started_at)
        names = ", ".join(f"{month.first:%B %Y}" for month in reversed(months))
        days = [month.first.toordinal() for month in months]
        return Coverage(f"Events of {names}", [Part(day, day) for day in days])

    def prove(self, run: ProofRun, part: Part) -> Findings:
        month = Month(date.fromordinal(part.first))
        statement = reconcile_month(month, now=run.started_at, customer=run.customer)
        if run.customer_id is None:
            save_reconciliation(statement)
        found = list(_differences(statement, run.customer_id))
        differing = min(abs(statement.unexplained) + abs(statement.unassigned), statement.received)
        return Findings(checked=statement.received, differing=differing, found=found)


def _differences(statement: Reconciliation, customer_id: int | None) -> Iterator[Found]:
    """Yield what doesn't add up, of a month (by the number of its first day) or of a customer."""
    subject = ProofSubject.MONTH if customer_id is None else ProofSubject.CUSTOMER
    pk = statement.month.first.toordinal() if customer_id is None else customer_id
    name = f"{statement.month.first:%B %Y}"
    if statement.unexplained:
        explained = f"{sum(statement.outcomes.values()):,}"
        yield Found(subject, pk, name, "Events received", f"{statement.received:,}", explained)
    if statement.unassigned:
        assigned = f"{statement.counted - statement.unassigned:,}"
        yield Found(subject, pk, name, "Events counted", f"{statement.counted:,}", assigned)
