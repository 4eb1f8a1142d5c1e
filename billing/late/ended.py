"""Late usage of subscriptions that get no other invoice: one of its own."""

from datetime import datetime

from django.db import transaction

from billing.condition_loading import attach_conditions
from billing.finalizing import recompute
from billing.invoicing import Work, compute_many, issue
from billing.loading import load_accounts
from billing.models import BillingState, Invoice, InvoiceKind, InvoiceState, LateAdjustment, LateState
from billing.steps import late_step
from config.refusals import Refused


def bill_ended(*, now: datetime) -> list[Invoice]:
    """Draft an invoice for every ended subscription that late usage waits for; return those that were drafted.

    One that has such a draft already takes the rest in. Differences of nothing make no invoice. Safe to repeat, and
    side by side: a subscription that somebody else bills is passed over.
    """
    waiting = LateAdjustment.objects.filter(state=LateState.WAITING, subscription__billing__due_at=None).exclude(
        amount=0
    )
    found = []
    for subscription_id in sorted(set(waiting.values_list("subscription_id", flat=True))):
        with transaction.atomic():
            invoice = _bill(subscription_id, now)
            found += [invoice] if invoice is not None else []
    return found


def _bill(subscription_id: int, now: datetime) -> Invoice | None:
    draft = Invoice.objects.filter(
        subscription=subscription_id, kind=InvoiceKind.LATE, state=InvoiceState.DRAFT
    ).first()
    if draft is not None:
        try:
            return recompute(draft, now=now)
        except Refused:  # finalized meanwhile: the next call makes another
            return None
    state = BillingState.objects.select_for_update(skip_locked=True).filter(pk=subscription_id).first()
    if state is None:
        return None
    account = load_accounts([subscription_id])[subscription_id]
    step = late_step(account, now)
    if step is None:
        return None
    attach_conditions([account], lock=True)
    [computed] = compute_many([Work(account, step)])
    return issue(computed, now=now) if computed.lines else None
