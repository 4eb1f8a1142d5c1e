"""How approved API keys are activated, and how keys of rejected requests are revoked."""

from datetime import datetime, timedelta

from config.approvals.kinds import Operation
from config.approvals.models import Approval
from config.approvals.operations import register
from config.approvals.people import register_colleagues_behind
from events.access.grants import find_colleagues_behind
from events.access.keys import activate, revoke
from events.models import ApiKey


def _activate(approval: Approval, now: datetime) -> ApiKey:
    overlap = timedelta(seconds=approval.inputs["overlap_s"])
    key = ApiKey.objects.get(pk=approval.object_key)
    return activate(key, overlap=overlap, now=now, by=approval.requested_by)


def _revoke(approval: Approval, now: datetime) -> None:
    revoke(ApiKey.objects.get(pk=approval.object_key), now=now)


def _scopes(approval: Approval) -> list[str]:
    return ["keys:write", *approval.inputs["scopes"]]


def register_operations() -> None:
    """Register how API keys are activated, and who is behind them."""
    permissions = ("events.add_apikey", "events.change_apikey")
    register(Operation.ACTIVATE_KEY, _activate, permissions=permissions, scopes=_scopes, drop=_revoke)
    register_colleagues_behind(find_colleagues_behind)
