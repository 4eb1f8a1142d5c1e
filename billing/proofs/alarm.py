"""The alarm that a proof found a difference. It is cleared by a later proof of the same scope without one.

Every night the scopes with an open alarm are proved again, so that alarms of what was put right are cleared.
"""

from datetime import datetime
from typing import Any

from django.db.models import Sum

from billing.models import Invoice, ProofDifference, ProofRun
from billing.month_end.months import Month
from config.alarms.kinds import AlarmKind
from config.alarms.models import Alarm
from config.alarms.raising import Finding, clear_alarm, raise_alarm
from customers.models import Customer

NAMED = 3
WHAT_TO_DO = (
    "Open the proofs: they name each object with the stored figure and the one that was calculated again. Look up in"
    " the change log who changed it. Don't finalize, void or pay what differs before the reason is known."
)


def update_alarm(run: ProofRun, *, now: datetime) -> None:
    """Raise the alarm of a finished run if something differs, else clear it. Call it in the run's transaction."""
    about = _about(run)
    differing = run.results.aggregate(total=Sum("differing"))["total"] or 0
    if not differing:
        clear_alarm(AlarmKind.PROOF_FAILED, about, now=now)
        return
    scope = "the nightly proofs" if run.is_nightly else f"the proofs of {run.scope_name}"
    figures = "figure differs" if differing == 1 else "figures differ"
    message = f"{differing:,} {figures} in {scope} of {run.started_at:%Y-%m-%d %H:%M} UTC: {_names(run)}"
    raise_alarm(Finding(AlarmKind.PROOF_FAILED, message, WHAT_TO_DO, about=about, url=run.get_absolute_url()), now=now)


def scopes_to_prove_again(*, now: datetime) -> list[dict[str, Any]]:
    """List the invoices, customers and months with an open alarm. The alarms of deleted drafts are cleared."""
    scopes = []
    for alarm in Alarm.objects.open().filter(kind=AlarmKind.PROOF_FAILED).exclude(about="").order_by("pk"):
        scope = _scope(alarm.about)
        if scope is None:
            clear_alarm(AlarmKind.PROOF_FAILED, alarm.about, now=now)
        else:
            scopes.append(scope)
    return scopes


def _about(run: ProofRun) -> str:
    """Name a run's scope in a way that never changes: a draft's name becomes a number, a customer gets another ID."""
    if run.invoice is not None:
        return run.invoice.public_id
    if run.customer is not None:
        return run.customer.public_id
    return str(Month(run.month)) if run.month else ""


def _scope(about: str) -> dict[str, Any] | None:
    """Find the invoice, customer or month that an alarm is about."""
    if invoice := Invoice.objects.filter(public_id=about).first():
        return {"invoice": invoice}
    if customer := Customer.objects.filter(public_id=about).first():
        return {"customer": customer}
    try:
        return {"month": Month.named(about).first}
    except ValueError:
        return None


def _names(run: ProofRun) -> str:
    """Name the first objects that differ."""
    rows = ProofDifference.objects.filter(result__run=run).order_by("pk").values_list("name", flat=True)
    names = list(dict.fromkeys(rows[:100]))
    return "; ".join(names[:NAMED]) + ("; …" if len(names) > NAMED else "")
