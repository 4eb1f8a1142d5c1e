"""How approved terms, add-ons and commitments of subscriptions are carried out."""

from datetime import datetime

from catalog.agreed.storing import read_edits
from catalog.models import Plan, PlanVersion
from config.approvals.kinds import Operation
from config.approvals.models import Approval
from config.approvals.operations import register
from customers.kinds import ChangeInvoicing
from customers.models import Commitment, Subscription
from customers.subscriptions import (
    CommitmentTerms,
    TermsPhase,
    add_addon,
    agree_commitment,
    agree_phases,
    agree_terms,
    end_commitment,
)


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


def _agree_phases(approval: Approval, now: datetime) -> Subscription:
    return agree_phases(
        Subscription.objects.get(pk=approval.object_key),
        [TermsPhase.read(phase) for phase in approval.inputs["phases"]],
        now=now,
        by=approval.requested_by,
        reason=approval.inputs["reason"],
    )


def _add_addon(approval: Approval, now: datetime) -> Subscription:
    inputs = approval.inputs
    offers = PlanVersion.objects if inputs["is_version"] else Plan.with_addons
    subscription = Subscription.objects.get(pk=approval.object_key)
    add_addon(
        subscription,
        offers.get(pk=inputs["addon"]),
        at=datetime.fromisoformat(inputs["at"]),
        until=datetime.fromisoformat(inputs["until"]) if inputs["until"] else None,
        metadata=inputs["metadata"],
        now=now,
        by=approval.requested_by,
        reason=inputs["reason"],
        invoicing=ChangeInvoicing(inputs["invoicing"]),
        edits=read_edits(inputs["edits"]),
    )
    return subscription


def _agree_commitment(approval: Approval, now: datetime) -> Commitment:
    inputs = approval.inputs
    return agree_commitment(
        Subscription.objects.get(pk=approval.object_key),
        CommitmentTerms.read(inputs["terms"]),
        starts_at=datetime.fromisoformat(inputs["starts_at"]),
        ends_at=datetime.fromisoformat(inputs["ends_at"]) if inputs["ends_at"] else None,
        now=now,
        by=approval.requested_by,
        reason=inputs["reason"],
    )


def _end_commitment(approval: Approval, now: datetime) -> Commitment:
    inputs = approval.inputs
    return end_commitment(
        Commitment.objects.select_related("subscription").get(pk=inputs["commitment"]),
        at=datetime.fromisoformat(inputs["at"]),
        now=now,
        by=approval.requested_by,
        reason=inputs["reason"],
    )


def register_operations() -> None:
    """Register how agreed terms, add-ons and commitments are carried out, and what deciding about them requires."""
    carried_out = {
        Operation.AGREE_TERMS: _agree_terms,
        Operation.AGREE_PHASES: _agree_phases,
        Operation.ADD_ADDON: _add_addon,
        Operation.AGREE_COMMITMENT: _agree_commitment,
        Operation.END_COMMITMENT: _end_commitment,
    }
    for operation, carry_out in carried_out.items():
        register(operation, carry_out, permissions=("customers.change_subscription",), scopes=("customers:write",))
