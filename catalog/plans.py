"""Archive and activate plans."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from catalog.models import Plan
from catalog.models.plans import PlanState
from config.audit import recorded


def archive_plan(plan: Plan, *, now: datetime, by: User | None, reason: str = "") -> Plan:
    """Stop new subscriptions to the plan. Existing ones continue. A second call changes nothing."""
    return _set_state(plan, PlanState.ARCHIVED, now, by, reason)


def activate_plan(plan: Plan, *, by: User | None, reason: str = "") -> Plan:
    """Allow new subscriptions to an archived plan again. A second call changes nothing."""
    return _set_state(plan, PlanState.ACTIVE, None, by, reason)


@transaction.atomic
def _set_state(plan: Plan, state: PlanState, archived_at: datetime | None, by: User | None, reason: str) -> Plan:
    locked = Plan.with_addons.select_for_update(no_key=True).get(pk=plan.pk)
    if locked.state != state:
        locked.state, locked.archived_at = state, archived_at
        with recorded(by=by, reason=reason):
            locked.save(update_fields=["state", "archived_at", "updated_at"])
    plan.state, plan.archived_at = locked.state, locked.archived_at
    return plan
