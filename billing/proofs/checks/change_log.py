"""The change log: no entry was changed, deleted or added past the chain."""

import re

from billing.kinds import ProofKind, ProofSubject
from billing.models import ProofRun
from billing.proofs.checks.base import Coverage, Part
from billing.proofs.findings import Findings, Found
from config.change_log.verifying import verify

ENTRY = re.compile(r"entry (\d+)")


class ChangeLog:
    """All entries of the change log, against their seals and the chain."""

    kind = ProofKind.CHANGE_LOG

    def cover(self, run: ProofRun) -> Coverage | None:
        return Coverage("All entries", [Part(0, 0)]) if run.is_nightly else None

    def prove(self, run: ProofRun, part: Part) -> Findings:
        """Verify the chain up to the first entry that isn't as it was written."""
        result = verify()
        if not result.problem:
            return Findings(checked=result.entries + result.waiting)
        entry = ENTRY.search(result.problem)
        name = f"Entry {entry[1]}" if entry else "Change log"
        found = Found(
            ProofSubject.CHANGE, int(entry[1]) if entry else 0, name, "Chain", "as it is stored", result.problem[:255]
        )
        return Findings(checked=result.entries + result.waiting + 1, differing=1, found=[found])
