"""Erase a customer's personal data: decided once, carried out in steps, and looked after every day.

Each step is a transaction that also notes how far the erasure is. A process can be killed at any moment: the next one
continues with the step that wasn't committed.
"""

from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Max

from billing.personal_data.blockers import list_blockers
from billing.personal_data.external_ids import is_personal
from billing.personal_data.steps import STEPS, Work
from config.approvals.gate import Action, require_approval
from config.approvals.kinds import ApprovalKind, Operation
from config.audit import record_change, recorded
from config.jobs import claim
from config.personal_data.keys import destroy_key
from config.personal_data.models import PersonalDataErasure
from config.refusals import ReasonRequired, Refused
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit
from customers.accounts import save_customer
from customers.models import Customer, CustomerState
from events.ledger.replaying import wait_for_running_batches
from events.models import Event

CHECKED_EVERY = timedelta(hours=20)  # less than a day, so that a pass that began late isn't left out the next night


class ErasureRefused(Refused):
    """Something is still to be done before the personal data can be erased. The message names it."""


def start_erasure(customer: Customer, *, reason: str, now: datetime, by: User | None) -> PersonalDataErasure:
    """Decide to erase a customer's personal data; a worker does it. A repeated call returns the first erasure.

    The customer is archived and can't be changed any more. Raises `ReasonRequired`, `ErasureRefused`, and
    `ApprovalNeeded` if a rule covers it.
    """
    if not reason.strip():
        raise ReasonRequired("Enter a reason for erasing the personal data.")
    with transaction.atomic():
        # Locked, so that no subscription or invoice is created between the check and the commit.
        locked = Customer.objects.select_for_update().get(pk=customer.pk)
        if (erasure := find_erasure(locked)) is not None:
            return erasure
        if blockers := list_blockers(locked, now=now):
            raise ErasureRefused(f"The personal data of {locked} can't be erased yet. {' '.join(blockers)}")
        require_approval(_action(locked, reason.strip()), by=by)
        return _start(locked, reason.strip()[:255], now, by)


def find_erasure(customer: Customer) -> PersonalDataErasure | None:
    """Return the erasure of a customer's personal data, running or finished."""
    return PersonalDataErasure.objects.filter(customer_id=customer.pk).first()


def _action(customer: Customer, reason: str) -> Action:
    return Action(
        Operation.ERASE_PERSONAL_DATA,
        [ApprovalKind.PERSONAL_DATA],
        [customer],
        {"reason": reason},
        title=f"Erase the personal data of {customer}",
        effect="The personal data is erased for good, except documents that the law requires.",
    )


def _start(customer: Customer, reason: str, now: datetime, by: User | None) -> PersonalDataErasure:
    customer.state, customer.archived_at = CustomerState.ARCHIVED, customer.archived_at or now
    customer.erased_at = now
    save_customer(customer, by=by, reason=reason)
    with recorded(by=by, reason=reason):
        return PersonalDataErasure.objects.create(
            customer_id=customer.pk,
            customer_public_id=customer.public_id,
            replaces_external_id=is_personal(customer),
            reason=reason,
            started_at=now,
            started_by=by,
        )


def continue_erasure(*, now: datetime) -> bool:
    """Do the next part of an erasure that isn't finished, in one transaction; return False if there is none.

    Safe to run concurrently: each erasure is continued by one worker at a time.
    """
    with transaction.atomic():
        erasure = claim(PersonalDataErasure.objects.order_by("pk"))
        if erasure is None:
            return False
        customer = Customer.objects.get(pk=erasure.customer_id)
        count, last = STEPS[erasure.step](Work(customer, erasure, erasure.reached))
        _note_progress(erasure, count, last)
        if erasure.step == len(STEPS):
            _finish(customer, erasure, now)
        return True


def _note_progress(erasure: PersonalDataErasure, count: int, last: int | None) -> None:
    erasure.step, erasure.reached = (erasure.step + 1, 0) if last is None else (erasure.step, last)
    PersonalDataErasure.objects.filter(pk=erasure.pk).update(
        step=erasure.step, reached=erasure.reached, erased=F("erased") + count
    )


def _finish(customer: Customer, erasure: PersonalDataErasure, now: datetime) -> None:
    destroy_key(customer.pk)
    erasure.finished_at, erasure.checked_at = now, now
    with recorded(by=erasure.started_by, reason=erasure.reason):
        erasure.save(update_fields=["finished_at", "checked_at"])
    emit(WebhookEvent.PERSONAL_DATA_ERASED, "customer", [erasure.pk], at=now)


def erase_later_data(erasure: PersonalDataErasure, *, now: datetime) -> int:
    """Erase what arrived since the last pass, and documents that the law no longer requires; return how many rows.

    One transaction for each part. If it is interrupted, the next pass starts again. The first pass after the erasure
    looks at all events again: some may have been in a batch that was still open.
    """
    customer, last_event, total = Customer.objects.get(pk=erasure.customer_id), _last_settled_event(), 0
    for step in STEPS:
        after: int | None = 0
        while after is not None:
            with transaction.atomic():
                erasure.refresh_from_db()
                count, after = step(Work(customer, erasure, after))
                total += count
    with transaction.atomic():
        if total:
            with recorded(by=None, reason="Daily check of erased customers"):
                record_change(erasure, "later personal data", "stored", f"erased in {total:,} rows")
        destroy_key(customer.pk)
        PersonalDataErasure.objects.filter(pk=erasure.pk).update(
            checked_at=now, last_event=last_event, erased=F("erased") + total
        )
    return total


def _last_settled_event() -> int:
    """Return the id of an event up to which every event is committed: a batch can commit after a later one."""
    last: int | None = Event.objects.aggregate(last=Max("pk"))["last"]
    wait_for_running_batches()
    return last or 0


def due_for_check(*, now: datetime) -> list[PersonalDataErasure]:
    """Return the finished erasures that weren't looked through today, the one longest ago first."""
    finished = PersonalDataErasure.objects.exclude(finished_at=None)
    return list(finished.filter(checked_at__lt=now - CHECKED_EVERY).order_by("checked_at"))
