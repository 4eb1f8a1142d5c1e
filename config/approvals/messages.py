"""Render approvals for webhook messages."""

from collections.abc import Sequence
from datetime import datetime

from config.approvals.models import Approval
from config.approvals.serializers import ApprovalOut
from config.webhooks.outbox import Payload, register_renderer


def render_approvals(ids: Sequence[int], at: datetime) -> Payload:
    """Render approvals as the API does."""
    rows = Approval.objects.filter(pk__in=ids).select_related("requested_by", "responsible", "decided_by")
    return [(approval.public_id, ApprovalOut(approval).data) for approval in rows.order_by("pk")]


def register() -> None:
    """Register the renderer of approvals."""
    register_renderer("approval", render_approvals)
