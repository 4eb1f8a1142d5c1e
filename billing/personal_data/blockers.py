"""What must be done before a customer's personal data can be erased."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import F, Q, QuerySet

from billing.models import (
    BillingState,
    CreditNote,
    CreditNoteState,
    Invoice,
    LateAdjustment,
    LateCheck,
    Payment,
    Wallet,
)
from billing.models.late import OPEN_STATES
from billing.personal_data.owned import labels_of
from config.approvals.kinds import Operation
from config.approvals.models import Approval
from customers.models import Customer, Subscription

MOST_NAMED = 5


def list_blockers(customer: Customer, *, now: datetime) -> list[str]:
    """Return what stands against the erasure, in sentences that name the rows; empty if nothing does.

    About eleven queries.
    """
    checks = (_subscriptions, _invoices, _credit, _late_usage, _approvals)
    return [sentence for check in checks for sentence in check(customer, now)]


def _subscriptions(customer: Customer, now: datetime) -> Iterator[str]:
    subscriptions = Subscription.objects.filter(customer=customer)
    running = subscriptions.filter(Q(ended_at=None) | Q(ended_at__gt=now)).exclude(ended_at=F("started_at"))
    yield from _name(running, "Subscriptions that haven't ended", "public_id", "cancel them")
    due = Q(due_at__isnull=False) | Q(change_at__isnull=False)
    states = BillingState.objects.filter(due, subscription__customer=customer).exclude(subscription__in=running)
    yield from _name(states, "Subscriptions with periods to invoice", "subscription__public_id", "bill them")
    yield from _name(customer.children.all(), "Customers that it pays for", "public_id", "have them pay for themselves")


def _invoices(customer: Customer, now: datetime) -> Iterator[str]:
    invoices = Invoice.objects.filter(customer=customer)
    yield from _name(invoices.drafts(), "Draft invoices", "public_id", "finalize or delete them")
    yield from _name(invoices.to_pay(), "Unpaid invoices", "number", "record their payment, credit or void them")
    yield from _name(invoices.to_refund(), "Invoices with a refund due", "number", "record the refund")
    notes = CreditNote.objects.filter(customer=customer, state=CreditNoteState.DRAFT)
    yield from _name(notes, "Draft credit notes", "public_id", "finalize or void them")


def _credit(customer: Customer, now: datetime) -> Iterator[str]:
    payments = Payment.objects.filter(customer=customer).with_money_left()
    yield from _name(payments, "Payments with an unapplied surplus", "public_id", "apply, credit or refund it")
    wallets = Wallet.objects.filter(customer=customer, balance__gt=0)
    yield from _name(wallets, "Wallets with prepaid credit", "public_id", "refund or revoke it")


def _late_usage(customer: Customer, now: datetime) -> Iterator[str]:
    open_ones = LateAdjustment.objects.filter(subscription__customer=customer, state__in=OPEN_STATES)
    yield from _name(open_ones, "Late usage that isn't billed", "public_id", "bill or waive it")
    checks = LateCheck.objects.filter(subscription__customer=customer)
    yield from _name(checks, "Late usage that is being calculated", "subscription__public_id", "wait a minute")


def _approvals(customer: Customer, now: datetime) -> Iterator[str]:
    waiting = Approval.objects.waiting(now).exclude(operation=Operation.ERASE_PERSONAL_DATA)
    if waiting.exists():
        about = waiting.filter(about__overlap=list(labels_of(customer)))
        yield from _name(about, "Requests for approval", "public_id", "decide about them")


def _name(rows: QuerySet[Any], what: str, field: str, remedy: str) -> Iterator[str]:
    names = list(rows.order_by("pk").values_list(field, flat=True)[: MOST_NAMED + 1])
    if names:
        more = " and others" if len(names) > MOST_NAMED else ""
        yield f"{what}: {', '.join(str(name) for name in names[:MOST_NAMED])}{more} ({remedy})."
