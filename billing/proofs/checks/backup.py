"""The last backup: it was restored into a scratch database, where every table and every proof was right."""

from billing.kinds import ProofKind, ProofSubject
from billing.models import ProofRun
from billing.proofs.checks.base import Coverage, Part
from billing.proofs.findings import Findings, Found
from config.backups.models import Backup
from config.backups.running import find_latest


class LastBackup:
    """The tables of the newest backup. One that wasn't verified can't be proved yet."""

    kind = ProofKind.BACKUP

    def cover(self, run: ProofRun) -> Coverage | None:
        latest = find_latest()
        if not run.is_nightly or latest is None:
            return None
        return Coverage(f"Tables of {latest}", [Part(latest.pk, latest.pk)])

    def prove(self, run: ProofRun, part: Part) -> Findings:
        """Read what verifying found. The backup is restored when it is made, by the schedule or by hand."""
        backup = Backup.objects.get(pk=part.first)
        if backup.problem:
            found = Found(
                ProofSubject.BACKUP, backup.pk, str(backup), "Restored copy", "complete", backup.problem[:255]
            )
            return Findings(checked=max(backup.tables, 1), differing=1, found=[found])
        return Findings(checked=backup.tables, waiting=0 if backup.verified_at else backup.tables)
