"""The ledger is whole: every problem and every void has its event."""

from billing.kinds import ProofKind, ProofSubject
from billing.models import ProofRun
from billing.proofs.checks.base import Coverage, Part
from billing.proofs.findings import Findings, Found
from events.ledger.orphans import Orphan, count_dependents, find_orphans

ALL = Part(0, 0)


class Ledger:
    """Every problem and void of the ledger, whose events the database doesn't check when it deletes rows."""

    kind = ProofKind.LEDGER

    def cover(self, run: ProofRun) -> Coverage | None:
        return Coverage("All problems and voids", [ALL]) if run.is_nightly else None

    def prove(self, run: ProofRun, part: Part) -> Findings:
        found = [_found(orphan) for orphan in find_orphans()]
        return Findings(checked=max(count_dependents(), len(found)), differing=len(found), found=found)


def _found(orphan: Orphan) -> Found:
    name = f"{orphan.table.capitalize()} {orphan.pk} {orphan.text}".strip()
    return Found(ProofSubject.EVENT, orphan.place, name, "Event", f"{orphan.place}", "not in the ledger")
