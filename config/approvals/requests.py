"""Request approval, and decide: approve, reject, withdraw. Requests expire when their time is over.

A decision locks the request's row first, so that two are never carried out, and then what the action locks.
"""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Model, QuerySet

from config.approvals.gate import Action, ApprovalNeeded, carrying_out, label_of
from config.approvals.kinds import ApprovalKind, ApprovalStatus
from config.approvals.models import EXPIRES_DAYS, Approval, ApprovalRule
from config.approvals.operations import handler_of
from config.approvals.people import Person, person_of, requester_colleagues
from config.audit import recorded, recorded_on_behalf
from config.refusals import ReasonRequired, Refused
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit

DECIDE = "config.change_approval"
MOST_COUNTED = 100
EVENTS = {
    ApprovalStatus.REQUESTED: WebhookEvent.APPROVAL_REQUESTED,
    ApprovalStatus.APPROVED: WebhookEvent.APPROVAL_APPROVED,
    ApprovalStatus.REJECTED: WebhookEvent.APPROVAL_REJECTED,
    ApprovalStatus.WITHDRAWN: WebhookEvent.APPROVAL_WITHDRAWN,
    ApprovalStatus.EXPIRED: WebhookEvent.APPROVAL_EXPIRED,
    ApprovalStatus.FAILED: WebhookEvent.APPROVAL_FAILED,
}


class AlreadyRequested(Refused):
    """An equal request of someone else is waiting."""


class AlreadyDecided(Refused):
    """The request was decided or has expired."""


class NotYours(Refused):
    """The person can't make this decision."""


class NoRequester(Exception):
    """An action that needs approval was started by no one who could request it: a task or a command."""


def request_approval(needed: ApprovalNeeded, *, now: datetime) -> Approval:
    """Request the approval of an action, after the transaction that tried it was undone. Sends a webhook.

    A second call by the same requester returns the waiting request. Raises `AlreadyRequested` if it is someone else's.
    """
    person, action = person_of(needed.by), needed.action
    if person is None:
        raise NoRequester(action.title) from needed
    expire_due(now=now)
    if waiting := _find_equal(action):
        return _same_requester(waiting, person)
    try:
        with transaction.atomic():
            return _save_request(action, needed.rule, person, now)
    except IntegrityError:  # an equal request was made at the same moment
        if waiting := _find_equal(action):
            return _same_requester(waiting, person)
        raise


def _find_equal(action: Action) -> Approval | None:
    return Approval.objects.filter(digest=action.digest, status=ApprovalStatus.REQUESTED).first()


def _same_requester(waiting: Approval, person: Person) -> Approval:
    is_same_user = person.family_id is None and person.user is not None and waiting.requested_by_id == person.user.pk
    is_same_key = person.family_id is not None and waiting.requested_family == person.family_id
    if is_same_user or is_same_key:
        return waiting
    raise AlreadyRequested(f"{describe_waiting(waiting)}. It can't be requested twice.")


def describe_waiting(approval: Approval) -> str:
    """Say on an object's page what is waiting and who requested it."""
    asked = f"{approval.requested_at:%Y-%m-%d %H:%M} UTC"
    return f"Waiting for approval: “{approval.title}”, requested by {approval.requester} on {asked}"


def _save_request(action: Action, rule: ApprovalKind, person: Person, now: datetime) -> Approval:
    by_key = person.family_id is not None
    days = ApprovalRule.objects.filter(kind=rule).values_list("expires_days", flat=True).first() or EXPIRES_DAYS
    single = action.objects[0] if len(action.objects) == 1 else None
    _check_exist(action)
    approval = Approval(
        kind=rule,
        operation=action.operation,
        title=action.title[:255],
        effect=action.effect,
        about=action.about,
        content_type=ContentType.objects.get_for_model(single) if single else None,
        object_id=single.pk if single else None,
        object_public_id=getattr(single, "public_id", ""),
        object_name=str(single)[:255] if single else "",
        inputs=action.stored_inputs,
        amounts=action.stored_amounts,
        digest=action.digest,
        reason=str(action.inputs.get("reason") or "")[:255],
        requested_by=None if by_key else person.user,
        requested_key=person.key,
        requested_family=person.family_id,
        responsible=person.user if by_key else None,
        requested_at=now,
        expires_at=now + timedelta(days=days),
    )
    with recorded(by=approval.requested_by, reason=approval.reason):
        approval.save(force_insert=True)
    emit(EVENTS[ApprovalStatus.REQUESTED], "approval", [approval.pk], at=now)
    return approval


def _check_exist(action: Action) -> None:
    """Refuse to request an action on rows that were undone with it: the caller must keep or not create them."""
    keys: dict[type[Model], set[Any]] = {}
    for row in action.objects:
        keys.setdefault(type(row), set()).add(row.pk)
    for model, pks in keys.items():
        if model._base_manager.filter(pk__in=pks).count() != len(pks):
            raise LookupError(f"{action.operation} is about rows that don't exist.")


def why_not_decide(approval: Approval, person: Person) -> str:
    """Return why the person can't approve or reject the request, or an empty string."""
    if person.user is None or not person.user.is_active:
        return "No colleague is responsible for this API key, so it can't decide about approvals."
    if person.is_shared:
        return (
            "Others may know the secret of this API key, so it can't decide about approvals. "
            "Its responsible colleague must rotate it in the admin first."
        )
    if person.colleagues & requester_colleagues(approval):
        return "You requested this, or your API key did. Someone else must decide."
    if person.family_id is not None and person.family_id == approval.requested_family:
        return "This API key requested it. Someone else must decide."
    if not person.user.has_perm(DECIDE):
        return "You don't have the permission to decide about approvals."
    if not person.user.has_perms(handler_of(approval).permissions):
        return "You can only approve what you may do yourself."
    return ""


def is_requester(approval: Approval, person: Person) -> bool:
    """Return whether the person requested it, directly or with an API key, and can withdraw it."""
    if person.family_id is not None and person.family_id == approval.requested_family:
        return True
    return bool(person.colleagues & requester_colleagues(approval))


def approve(approval: Approval, *, by: Person, reason: str = "", now: datetime) -> Approval:
    """Approve a request and carry it out, once, exactly as requested, with the checks of an action that is done now.

    If the action is refused now, or differs from the request, nothing is done, and the request says why (`failed`).
    Raises `AlreadyDecided`, `NotYours`.
    """
    expire_due(now=now)
    with transaction.atomic():
        locked = _lock_undecided(approval, by)
        try:
            with (
                transaction.atomic(),
                recorded_on_behalf(
                    locked.requested_by,
                    key=locked.requested_key,
                    approved_by=name_with_key(by),
                    approval=locked.public_id,
                ),
                carrying_out(locked),
            ):
                result = handler_of(locked).carry_out(locked, now)
        except (Refused, ValidationError) as refusal:
            text = " ".join(refusal.messages) if isinstance(refusal, ValidationError) else str(refusal)
            return _close(locked, ApprovalStatus.FAILED, by, reason=reason, now=now, outcome=text)
        except ApprovalNeeded as needed:  # a part of it that another rule covers
            return _close(locked, ApprovalStatus.FAILED, by, reason=reason, now=now, outcome=str(needed))
        locked.result_id = str(getattr(result, "public_id", ""))
        outcome = result if isinstance(result, str) else "Carried out."
        return _close(locked, ApprovalStatus.APPROVED, by, reason=reason, now=now, outcome=outcome)


def reject(approval: Approval, *, by: Person, reason: str, now: datetime) -> Approval:
    """Reject a request: nothing is done. Raises `AlreadyDecided`, `NotYours`, `ReasonRequired`."""
    if not reason.strip():
        raise ReasonRequired("Enter a reason for rejecting the request.")
    expire_due(now=now)
    with transaction.atomic():
        locked = _lock_undecided(approval, by)
        return _close(locked, ApprovalStatus.REJECTED, by, reason=reason, now=now)


def withdraw(approval: Approval, *, by: Person, reason: str = "", now: datetime) -> Approval:
    """Withdraw one's own request: nothing is done. Raises `AlreadyDecided`, `NotYours`."""
    expire_due(now=now)
    with transaction.atomic():
        locked = _lock_waiting(approval)
        if not is_requester(locked, by):
            raise NotYours(f"Only {locked.requester} can withdraw this request. You can reject it.")
        return _close(locked, ApprovalStatus.WITHDRAWN, by, reason=reason, now=now)


def expire_due(*, now: datetime) -> int:
    """Expire the waiting requests whose time is over; return how many. Requests that are being decided are skipped."""
    due = Approval.objects.filter(status=ApprovalStatus.REQUESTED, expires_at__lte=now)
    if not due.exists():
        return 0
    with transaction.atomic():
        expired = list(due.select_for_update(skip_locked=True, of=("self",)).order_by("pk")[:500])
        for approval in expired:
            _close(approval, ApprovalStatus.EXPIRED, None, reason="", now=now)
    return len(expired)


def _lock_undecided(approval: Approval, by: Person) -> Approval:
    locked = _lock_waiting(approval)
    if why := why_not_decide(locked, by):
        raise NotYours(why)
    return locked


def _lock_waiting(approval: Approval) -> Approval:
    people = ("requested_by", "responsible", "decided_by")
    locked = Approval.objects.select_for_update(of=("self",)).select_related(*people).get(pk=approval.pk)
    if not locked.is_waiting:
        raise AlreadyDecided(f"This request was decided before: {describe_decision(locked)}")
    return locked


def describe_decision(approval: Approval) -> str:
    """Say what became of a request, when, and who decided."""
    when = f"{approval.decided_at:%Y-%m-%d %H:%M} UTC"
    who = f" by {approval.decider}" if approval.decider else ""
    return f"{approval.get_status_display().lower()} on {when}{who}."


def _close(
    approval: Approval, status: ApprovalStatus, by: Person | None, *, reason: str, now: datetime, outcome: str = ""
) -> Approval:
    approval.status, approval.decided_at, approval.outcome = status, now, outcome
    approval.decided_by, approval.decided_key = (by.user, by.key) if by else (None, "")
    approval.decision_reason = reason.strip()[:255]
    with recorded(by=approval.decided_by, reason=approval.decision_reason):
        approval.save()
        drop = handler_of(approval).drop
        if drop is not None and status != ApprovalStatus.APPROVED:
            drop(approval, now)
    emit(EVENTS[status], "approval", [approval.pk], at=now)
    return approval


def name_with_key(person: Person) -> str:
    """Return who approves, for the change log."""
    name = str(person.user.get_full_name() or person.user.get_username()) if person.user else ""
    return f"{name}, API key {person.key}" if person.key else name


def waiting_about(row: Model, *, now: datetime) -> QuerySet[Approval]:
    """Select the waiting requests about a row, newest first."""
    about = Approval.objects.waiting(now).filter(about__contains=[label_of(row)])
    return about.select_related("requested_by", "responsible")


def count_waiting(user: User, *, now: datetime) -> tuple[int, int]:
    """Return how many requests are waiting, at most 100, and how many of them the user can decide. One query."""
    waiting, person = list(Approval.objects.waiting(now).order_by("-pk")[:MOST_COUNTED]), Person(user)
    return len(waiting), sum(not why_not_decide(approval, person) for approval in waiting)
