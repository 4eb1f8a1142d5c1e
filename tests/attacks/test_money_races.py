"""Eight threads change the same money: numbers have no gap, sums agree, nothing is done twice, nothing deadlocks.

Each pair of the table runs four times each, at once, on one customer's invoices. One thread of each is the first; the
others either change nothing or are refused, in one sentence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Sum

from billing.adjustments.coupons import apply_coupon
from billing.late_usage.decisions import approve as approve_late
from billing.late_usage.decisions import ignore
from billing.late_usage.policy import change_policy
from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.recompute import recompute
from billing.lifecycle.review import hold
from billing.lifecycle.void import mark_paid, reissue, void
from billing.models import (
    Coupon,
    CouponApplication,
    CreditGrant,
    CreditNote,
    Invoice,
    LateAdjustment,
    NumberSeries,
    Payment,
    Wallet,
)
from billing.models.late import LessDue, MoreDue
from billing.runs.billing_run import run_to_end
from billing.settlement.credit_expiry import expire_credits
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note, void_credit_note
from billing.settlement.payments import Receipt, credit_surplus, record_payment, reverse_payment
from billing.settlement.refunds import record_refund
from billing.settlement.surplus import apply_surplus, refund_surplus
from billing.settlement.wallets import close_wallet, debit_wallet, get_or_open_wallet, grant_credit
from config.approvals.kinds import ApprovalKind
from config.approvals.models import Approval
from config.approvals.people import Person
from config.approvals.requests import approve, expire_due
from config.refusals import Refused
from customers.models import Customer, Subscription
from tests.approving import colleague, requested, require
from tests.billing.adjusting import make_coupon
from tests.billing.invoices import at_once, make_finalized
from tests.billing.late import arrive_many, invoice_at, work_late
from tests.billing.world import D, bill, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SEPTEMBER, OCTOBER, NOVEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1)
IN_SEPTEMBER, IN_GRACE = utc(2026, 9, 20, 9), utc(2026, 10, 2)
COUNTED, LATE = D(40), D(2)  # calls of $1 each


@dataclass(frozen=True, slots=True)
class World:
    """A customer's money: what the jobs change."""

    customer: Customer
    subscription: Subscription
    usage: Invoice  # $40 of September
    draft: Invoice  # $10, the fee of another subscription
    settled: Invoice  # $20, paid with $50
    due: Invoice  # $30
    fresh: Invoice  # $35
    overpaid: Payment  # $30 unapplied
    note: CreditNote  # a draft of $15 on `due`
    refundable: CreditNote  # $6 on `settled`, to be refunded
    wallet: Wallet  # $12
    coupon: Coupon  # once only
    approval: Approval  # of $500 of credit
    late: LateAdjustment  # $2, held


@pytest.fixture
def world() -> World:
    customer = make_customer(external_id="acme")
    version = make_version({"feature": make_feature(name="API calls"), "unit_amount": D(1)})
    subscription = make_subscription(customer=customer, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)
    usage = make_late_invoice()
    make_subscription(customer=customer, starts_at=OCTOBER, now=OCTOBER)
    [draft] = bill(OCTOBER)
    settled, due, fresh = (make_finalized(amount, customer=customer) for amount in ("20", "30", "35"))
    receipt = Receipt(D(50), OCTOBER.date(), reference="wire 1", surplus_to="unapplied")
    overpaid = record_payment(settled, receipt, now=OCTOBER, by=None)
    wallet = get_or_open_wallet(customer, "USD", by=None)
    grant_credit(wallet, D(12), kind="promotional", reason="Welcome", now=OCTOBER, by=None)
    return World(
        *(customer, subscription, usage, draft, settled, due, fresh, overpaid),
        note=draft_note(due, "15"),
        refundable=finalize_credit_note(draft_note(settled, "6"), now=OCTOBER, by=None),
        wallet=wallet,
        coupon=make_coupon(10, code="ONCE", max_redemptions=1),
        approval=request_credit(wallet),
        late=LateAdjustment.objects.get(),
    )


def make_late_invoice() -> Invoice:
    """Invoice 40 calls of September, of which two more are late and held for a decision."""
    change_policy(more_due=MoreDue.HOLD, less_due=LessDue.NEXT_INVOICE, limits={}, by=None)
    arrive_many(int(COUNTED), IN_SEPTEMBER)
    [usage] = invoice_at(OCTOBER)
    arrive_many(int(LATE), IN_SEPTEMBER)
    work_late(OCTOBER)
    return usage


def draft_note(invoice: Invoice, amount: str, **terms: Any) -> CreditNote:
    line = invoice.lines.earliest("pk")
    return draft_credit_note(invoice, {line.pk: D(amount)}, reason="billing_error", by=None, **terms)


def request_credit(wallet: Wallet) -> Approval:
    """Request $500 of credit; up to $100 need no approval."""
    require(ApprovalKind.CREDIT, USD="100")
    mia, _ = colleague(username="mia")
    for name in ("ben", "ada"):
        colleague(username=name)
    terms = {"kind": "promotional", "reason": "Outage", "now": IN_GRACE}
    return requested(lambda: grant_credit(wallet, D(500), by=mia, **terms), now=IN_GRACE)


def decide(world: World, name: str) -> Approval:
    user = world.approval.requested_by.__class__.objects.get(username=name)
    return approve(world.approval, by=Person(user), now=IN_GRACE)


def write_note(world: World) -> CreditNote:
    """Credit $3 more of the invoice, once."""
    return finalize_credit_note(draft_note(world.usage, "3", idempotency_key="note"), now=IN_GRACE, by=None)


def pay(invoice: Invoice, amount: str, key: str | None) -> Payment:
    return record_payment(invoice, Receipt(D(amount), IN_GRACE.date(), idempotency_key=key), now=IN_GRACE, by=None)


def receipt(amount: str, key: str) -> Receipt:
    return Receipt(D(amount), IN_GRACE.date(), idempotency_key=key)


TERMS: dict[str, Any] = {"now": IN_GRACE, "by": None}
WHY: dict[str, Any] = TERMS | {"reason": "Wrong"}
JOBS: dict[str, Callable[[World], Any]] = {
    "finalize": lambda world: finalize(world.draft, now=IN_GRACE),
    "finalize all that is due": lambda world: finalize_due(now=NOVEMBER),
    "recalculate": lambda world: recompute(world.draft, now=IN_GRACE),
    "hold": lambda world: hold(world.draft, **WHY),
    "void": lambda world: void(world.usage, **WHY),
    "void the fresh": lambda world: void(world.fresh, **WHY),
    "pay the fresh": lambda world: pay(world.fresh, "10", None),
    "reissue": lambda world: reissue(world.usage, **WHY),
    "pay": lambda world: pay(world.usage, "10", "pay"),
    "pay the rest": lambda world: mark_paid(world.usage, **TERMS),
    "reverse": lambda world: reverse_payment(world.overpaid, **WHY),
    "credit note": write_note,
    "finalize the credit note": lambda world: finalize_credit_note(world.note, **TERMS),
    "void the credit note": lambda world: void_credit_note(world.note, **WHY),
    "refund": lambda world: record_refund(world.settled, receipt("6", "refund"), credit_note=world.refundable, **WHY),
    "void the refundable": lambda world: void_credit_note(world.refundable, **WHY),
    "apply the surplus": lambda world: apply_surplus(world.overpaid, world.fresh, idempotency_key="apply", **TERMS),
    "credit the surplus": lambda world: credit_surplus(world.overpaid, idempotency_key="credit", **TERMS),
    "refund the surplus": lambda world: refund_surplus(world.overpaid, receipt("30", "surplus"), **WHY),
    "top up": lambda world: grant_credit(world.wallet, D(5), kind="purchased", reference="once", **WHY),
    "debit": lambda world: debit_wallet(world.wallet, D(4), **WHY),
    "close the wallet": lambda world: close_wallet(world.wallet, **WHY),
    "expire credit": lambda world: expire_credits(now=IN_GRACE),
    "apply the coupon": lambda world: apply_coupon(world.coupon, world.customer, **TERMS),
    "apply it to another": lambda world: apply_coupon(world.coupon, make_customer(), **TERMS),
    "approve": lambda world: decide(world, "ben"),
    "approve as another": lambda world: decide(world, "ada"),
    "expire approvals": lambda world: expire_due(now=utc(2027, 1, 1)),
    "bill": lambda world: run_to_end(as_of=NOVEMBER),
    "approve late usage": lambda world: approve_late([world.late.pk], **TERMS),
    "waive late usage": lambda world: ignore([world.late.pk], **WHY),
    "calculate late usage": lambda world: work_late(IN_GRACE),
}
# Which jobs run beside which others.
BESIDE = {
    "finalize": "recalculate, hold, void, top up, debit, apply the coupon",
    "finalize all that is due": "finalize, bill, reissue, close the wallet, approve",
    "void": "pay, reissue, credit note, bill, approve late usage",
    "void the fresh": "apply the surplus, pay the fresh, finalize",
    "reissue": "pay the rest, bill, approve late usage, calculate late usage, reissue",
    "pay": "pay the rest, credit note, apply the surplus, approve",
    "reverse": "apply the surplus, credit the surplus, refund the surplus, refund",
    "credit the surplus": "refund the surplus, apply the surplus, close the wallet",
    "finalize the credit note": "void the credit note, credit note, pay the rest",
    "refund": "void the refundable, credit note",
    "top up": "debit, close the wallet, expire credit, approve",
    "approve": "approve as another, expire approvals, close the wallet",
    "bill": "approve late usage, waive late usage, apply the coupon, calculate late usage",
    "approve late usage": "waive late usage",
    "apply the coupon": "apply it to another",
}
PAIRS = [(first, second) for first, others in BESIDE.items() for second in others.split(", ")]


def test_each_job_is_possible_on_its_own(world):
    refused = {}
    for name, job in JOBS.items():
        try:
            with transaction.atomic():
                job(world)
                transaction.set_rollback(True)
        except (Refused, ValidationError) as refusal:
            refused[name] = str(refusal)
    assert refused == {}


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_jobs_on_the_same_money_at_once(world, first, second):
    jobs = [lambda job=JOBS[name]: job(world) for name in (first, second) for _ in range(4)]
    results = at_once(*jobs)
    assert [result for result in results if isinstance(result, Exception) and not is_refusal(result)] == []
    check_nothing_is_doubled(world)
    check_numbers()
    check_sums()
    check_usage(world)


def is_refusal(error: Exception) -> bool:
    return isinstance(error, Refused | ValidationError)


def check_nothing_is_doubled(world: World) -> None:
    assert CouponApplication.objects.count() <= 1
    assert CreditGrant.objects.filter(reference="once").count() <= 1
    assert CreditGrant.objects.filter(amount=D(500)).count() <= 1
    assert CreditNote.objects.filter(idempotency_key="note").count() <= 1
    assert Invoice.objects.filter(replaces=world.usage).count() <= 1
    assert Payment.objects.filter(reverses=world.overpaid).count() <= 1
    for key in ("pay", "refund", "apply", "credit", "surplus"):
        assert Payment.objects.filter(idempotency_key=key).count() <= 1


def check_numbers() -> None:
    """Check that the numbers of each series are 1, 2, 3, … without a gap."""
    for series in NumberSeries.objects.all():
        documents: list[Any] = [*Invoice.objects.filter(series=series), *CreditNote.objects.filter(series=series)]
        numbers = sorted(document.number for document in documents if document.number)
        assert numbers == [f"{series.prefix}{n:0{series.width}d}" for n in range(1, series.next_number)]


def check_sums() -> None:
    """Check invoices against payments, credit notes and prepaid credit, and wallets against their entries."""
    for invoice in Invoice.objects.all():
        payments, notes = list(invoice.payments.all()), list(invoice.credit_notes.filter(state="finalized"))
        assert invoice.amount_paid == sum(payment.applied for payment in payments)
        assert invoice.amount_credited == sum(note.total for note in notes)
        if not invoice.is_draft:  # a draft only says how much it will use
            used = invoice.credit_entries.filter(kind__in=["applied", "returned"])
            assert -invoice.credits_applied == total(used)
    for payment in Payment.objects.with_unapplied():
        assert payment.unapplied >= 0
    for wallet in Wallet.objects.all():
        assert wallet.balance == total(wallet.entries.all()) >= 0
        assert wallet.balance == wallet.grants.aggregate(sum=Sum("remaining"))["sum"]


def total(rows: Any) -> Decimal:
    return rows.aggregate(sum=Sum("amount"))["sum"] or D(0)


def check_usage(world: World) -> None:
    """Check that every call is charged once, waits to be, or was waived. A void invoice charges nothing."""
    world.usage.refresh_from_db()
    if world.usage.state == "void" and not Invoice.objects.filter(replaces=world.usage).exists():
        return
    lines = Invoice.objects.filter(subscription=world.subscription).exclude(state="void")
    charged = lines.filter(lines__kind__in=["usage", "late"]).aggregate(sum=Sum("lines__amount"))["sum"]
    waits = LateAdjustment.objects.filter(state__in=["waiting", "held", "small", "ignored"])
    assert charged + total(waits) == COUNTED + LATE
