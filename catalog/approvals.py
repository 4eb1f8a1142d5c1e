"""How approved publications are carried out."""

from datetime import datetime

from catalog.models import PlanVersion
from catalog.publishing import publish_with_note
from config.approvals.kinds import Operation
from config.approvals.models import Approval
from config.approvals.operations import register


def _publish(approval: Approval, now: datetime) -> PlanVersion:
    version = PlanVersion.objects.get(pk=approval.object_key)
    return publish_with_note(version, note=approval.inputs["reason"], now=now, by=approval.requested_by)


def register_operations() -> None:
    """Register how publications are carried out, and what deciding about them requires."""
    register(Operation.PUBLISH, _publish, permissions=("catalog.change_planversion",), scopes=("catalog:write",))
