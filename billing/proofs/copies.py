"""Proofs of a restored copy, when a backup is verified."""

from datetime import datetime

from django.db.models import Sum

from billing.models import ProofDifference, ProofRun
from billing.proofs.runs import prove_to_end, start_nightly
from config.backups.models import Backup

NAMED = 3


def prove_copy(now: datetime) -> str:
    """Prove the copy as every night, and return what differs, or an empty string.

    The records of earlier backups in the copy are left out: one that failed would make all later ones fail. Proofs that
    were running when the backup was made are finished elsewhere.
    """
    Backup.objects.all().delete()
    ProofRun.objects.filter(finished_at=None).update(finished_at=now)
    run = prove_to_end(start_nightly(now=now), now=now)
    differing = run.results.aggregate(total=Sum("differing"))["total"] or 0
    if not differing:
        return ""
    names = ProofDifference.objects.filter(result__run=run).order_by("pk").values_list("name", flat=True)
    return f"{differing:,} differ: {'; '.join(dict.fromkeys(names[:NAMED]))}"
