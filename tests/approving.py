"""Helpers for tests of approvals: rules, colleagues and requests."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from config.approvals.gate import ApprovalNeeded
from config.approvals.kinds import ApprovalKind, RuleMode
from config.approvals.models import Approval, ApprovalRule
from config.approvals.requests import request_approval
from tests.billing.invoices import later
from tests.factories import make_user

NOW = later()


def require(*kinds: ApprovalKind, **limits: str) -> None:
    """Switch rules on: always or, with limits, above amounts by currency."""
    mode = RuleMode.ABOVE if limits else RuleMode.ALWAYS
    for kind in kinds:
        ApprovalRule.objects.update_or_create(kind=kind, defaults={"mode": mode, "limits": limits})


def colleague(role: str = "Owner", **values: Any) -> tuple[User, Client]:
    """Make a colleague with a role, and a client that is signed in as them."""
    user = make_user(**values)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return user, client


def requested(work: Any, *, now: datetime | None = None) -> Approval:
    """Do what needs approval, and request it as pages and endpoints do."""
    try:
        work()
    except ApprovalNeeded as needed:
        return request_approval(needed, now=now or timezone.now())
    raise AssertionError("It was done without approval.")


def reload[Row: Any](row: Row) -> Row:
    row.refresh_from_db()
    return row
