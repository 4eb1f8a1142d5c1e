"""Invoice lines, recalculated by the independent rater."""

from billing.kinds import ProofKind
from billing.models import ProofRun
from billing.proofs.asking import open_rater
from billing.proofs.checks.base import Coverage, Part
from billing.proofs.findings import Findings
from billing.proofs.invoices import InvoiceProofs
from billing.proofs.scope import describe_months, invoices_of
from config.jobs import cut_into_ranges

INVOICES_AT_A_TIME = 200


class InvoiceLines:
    """Every line of the covered invoices: fees, usage, late usage, discounts, taxes, and the totals."""

    kind = ProofKind.LINES

    def cover(self, run: ProofRun) -> Coverage:
        ranges = cut_into_ranges(invoices_of(run).values("pk"), INVOICES_AT_A_TIME)
        scope = describe_months(run) if run.is_nightly else run.scope_name
        return Coverage(f"Lines of invoices: {scope}", [Part(ids.first_id, ids.last_id) for ids in ranges])

    def prove(self, run: ProofRun, part: Part) -> Findings:
        ids = invoices_of(run).filter(pk__gte=part.first, pk__lte=part.last).values_list("pk", flat=True)
        with open_rater() as rater:
            return InvoiceProofs(list(ids), rater).prove()
