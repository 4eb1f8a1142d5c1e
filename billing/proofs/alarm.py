"""The alarm that a proof found a difference. It is cleared by a later proof of the same scope without one."""

from datetime import datetime

from django.db.models import Sum

from billing.models import ProofDifference, ProofRun
from config.alarms.kinds import AlarmKind
from config.alarms.raising import Finding, clear_alarm, raise_alarm

NAMED = 3
WHAT_TO_DO = (
    "Open the proofs: they name each object with the stored figure and the one that was calculated again. Look up in"
    " the change log who changed it. Don't finalize, void or pay what differs before the reason is known."
)


def update_alarm(run: ProofRun, *, now: datetime) -> None:
    """Raise the alarm of a finished run if something differs, else clear it. Call it in the run's transaction."""
    about = "" if run.is_nightly else run.scope_name[:100]
    differing = run.results.aggregate(total=Sum("differing"))["total"] or 0
    if not differing:
        clear_alarm(AlarmKind.PROOF_FAILED, about, now=now)
        return
    message = f"{differing:,} differ in the proofs of {run.started_at:%Y-%m-%d %H:%M} UTC: {_names(run)}"
    raise_alarm(Finding(AlarmKind.PROOF_FAILED, message, WHAT_TO_DO, about=about, url=run.get_absolute_url()), now=now)


def _names(run: ProofRun) -> str:
    """Name the first objects that differ."""
    rows = ProofDifference.objects.filter(result__run=run).order_by("pk").values_list("name", flat=True)
    names = list(dict.fromkeys(rows[:100]))
    return "; ".join(names[:NAMED]) + ("; …" if len(names) > NAMED else "")
