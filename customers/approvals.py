"""How approved terms of subscriptions are carried out."""

from datetime import datetime

from catalog.agreed.storing import read_edits
from config.approvals.kinds import Operation
from config.approvals.models import Approval
from config.approvals.operations import register
from customers.kinds import ChangeInvoicing
from customers.models import Subscription
from customers.subscriptions import agree_terms


def _agree_terms(approval: Approval, now: datetime) -> Subscription:
    inputs = approval.inputs
    return agree_terms(
        Subscription.objects.get(pk=approval.object_key),
        read_edits(inputs["edits"]),
        at=datetime.fromisoformat(inputs["at"]),
        until=datetime.fromisoformat(inputs["until"]) if inputs["until"] else None,
        now=now,
        by=approval.requested_by,
        reason=inputs["reason"],
        invoicing=ChangeInvoicing(inputs["invoicing"]),
    )


def register_operations() -> None:
    """Register how agreed terms are carried out, and what deciding about them requires."""
    register(
        Operation.AGREE_TERMS,
        _agree_terms,
        permissions=("customers.change_subscription",),
        scopes=("customers:write",),
    )
