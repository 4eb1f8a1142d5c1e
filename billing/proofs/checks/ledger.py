"""The ledger is whole: every problem and void has its event, and sealed events are what they were."""

from billing.kinds import ProofKind, ProofSubject
from billing.models import ProofRun
from billing.proofs.checks.base import Coverage, Part
from billing.proofs.findings import Findings, Found
from events.history.proving import PartDifference, parts_of_night, prove_part
from events.ledger.orphans import Orphan, count_dependents, find_orphans
from events.models import SealedPart

ALL = Part(0, 0)  # problems and voids; other parts are parts of sealed events


class Ledger:
    """Every problem and void, whose events the database doesn't check, and some of the parts of sealed events."""

    kind = ProofKind.LEDGER

    def cover(self, run: ProofRun) -> Coverage | None:
        if not run.is_nightly:
            return None
        sealed = [Part(pk, pk) for pk in parts_of_night(run.started_at.toordinal())]
        scope = f"All problems and voids; {len(sealed)} parts of sealed events" if sealed else "All problems and voids"
        return Coverage(scope, [ALL, *sealed])

    def prove(self, run: ProofRun, part: Part) -> Findings:
        return _prove_dependents() if part == ALL else _prove_sealed(part.first)


def _prove_dependents() -> Findings:
    found = [_orphan(orphan) for orphan in find_orphans()]
    return Findings(checked=max(count_dependents(), len(found)), differing=len(found), found=found)


def _orphan(orphan: Orphan) -> Found:
    name = f"{orphan.table.capitalize()} {orphan.pk} {orphan.text}".strip()
    return Found(ProofSubject.EVENT, orphan.place, name, "Event", f"{orphan.place}", "not in the ledger")


def _prove_sealed(pk: int) -> Findings:
    """Prove a part of sealed events. If retention has removed it meanwhile, there is nothing to prove."""
    findings = Findings()
    for part in SealedPart.objects.readable().filter(pk=pk):
        findings.add(_differing(part, difference) for difference in prove_part(part))
    return findings


def _differing(part: SealedPart, difference: PartDifference) -> Found:
    texts = (difference.stated[:255], difference.found[:255])
    return Found(ProofSubject.SEALED_PART, part.pk, part.name, difference.figure, *texts)
