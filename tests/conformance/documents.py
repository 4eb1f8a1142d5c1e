"""Vectors of invoices and what happens to them later: voided, credited, billed again, asked for twice."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.test import RequestFactory
from django.urls import resolve

from billing.kinds import LineKind
from billing.late_usage.checks import find_checks
from billing.late_usage.reconcile import reconcile_due
from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.one_off import Item, create_one_off
from billing.lifecycle.void import mark_paid, void
from billing.models import (
    CreditNote,
    CreditReason,
    EntryKind,
    GrantKind,
    Invoice,
    InvoiceLine,
    InvoiceState,
    WalletEntry,
)
from billing.money import ZERO
from billing.refusals import CannotChange, CannotCredit, Corrected, MoneyAttached
from billing.runs.billing_run import run_to_end
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note, list_creditable_lines
from billing.settlement.payments import Receipt, reverse_payment
from billing.settlement.refunds import record_refund
from billing.settlement.wallets import get_or_open_wallet, grant_credit
from customers.models import Customer
from events.access.keys import make_key
from events.models import Scope
from tests.conformance.ledger import make_meter, send
from tests.conformance.registry import Inputs, NotOffered, Policy, Refused
from tests.conformance.values import number
from tests.factories import make_customer, make_subscription, make_version

CURRENCY = "USD"
NOT_FINAL = ("draft", "generating", "open", "pending", "failed")  # as systems name it; ours is a draft
SOME_AMOUNT = Decimal(10)  # where a vector's invoice has no amount of its own
JANUARY, FEBRUARY, MARCH = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3))
USED_AT, CORRECTED_AT = datetime(2026, 1, 10, tzinfo=UTC), datetime(2026, 1, 20, tzinfo=UTC)
LATER = datetime(2026, 2, 10, tzinfo=UTC)


def void_invoice(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    """Void an invoice. The credit that the invoice had used returns to the customer's wallet."""
    customer = make_customer()
    invoice = invoice_like(inputs, customer)
    wallet = get_or_open_wallet(customer, CURRENCY, by=None)
    try:
        # A repeated call of the domain returns the void invoice as it is; the door refuses it.
        done = void_again(invoice) if inputs["status"] == "voided" else void_once(invoice)
    except Corrected as error:
        raise Refused("invoice_was_corrected") from error
    except MoneyAttached as error:
        raise Refused("invoice_is_paid") from error
    except CannotChange as error:
        raise Refused("not_voidable") from error
    wallet.refresh_from_db()
    returned = WalletEntry.objects.filter(invoice=invoice, kind=EntryKind.RETURNED).first()
    return {
        "status": "voided" if done.state == InvoiceState.VOID else done.state,
        "refund": returned.amount if returned else ZERO,
        "wallet_after": wallet.balance,
    }


def void_once(invoice: Invoice) -> Invoice:
    return void(invoice, reason="As the vector says", by=None, now=LATER)


def void_again(invoice: Invoice) -> Invoice:
    """Void an invoice, and ask the API to void it again."""
    done = void_once(invoice)
    if post(f"invoices/{invoice.public_id}/void", {"reason": "As the vector says"}, make_api_key()) >= 400:
        raise CannotChange("It is void already")
    return done


def invoice_like(inputs: Inputs, customer: Customer) -> Invoice:
    """Make the invoice that a vector describes. Raises `NotOffered` for what no invoice of ours can be."""
    if inputs["status"] not in (*NOT_FINAL, "finalized", "paid", "voided"):
        raise NotOffered(f"void_invoice in state {inputs['status']}: an invoice has no such state")
    names = ("amount_paid", "credits_used", "already_refunded", "wallet_before")
    paid, credits_used, given_back, before = (number(inputs.get(name) or 0) for name in names)
    if inputs["status"] == "paid":
        paid = paid or SOME_AMOUNT
    if credits_used:
        give(customer, credits_used)
    invoice = make_invoice(customer, paid or credits_used or SOME_AMOUNT)
    if inputs["status"] not in NOT_FINAL:
        finalize(invoice, now=JANUARY)
    if before:
        give(customer, before)
    if paid:
        mark_paid(invoice, now=JANUARY)
        give_back(invoice, paid if inputs.get("payment_status") == "refunded" else given_back)
    if inputs.get("has_later_corrections"):
        credit(invoice, SOME_AMOUNT)
    return invoice


def give_back(invoice: Invoice, amount: Decimal) -> None:
    """Refund what was paid of an invoice: all of it by reversing the payment, a part by a credit note."""
    payment = invoice.payments.get()
    if amount >= payment.amount:
        reverse_payment(payment, reason="As the vector says", now=LATER, by=None)
    elif amount:
        note = credit(invoice, amount)
        receipt = Receipt(amount, LATER.date())
        record_refund(invoice, receipt, reason="As the vector says", credit_note=note, now=LATER, by=None)


def give(customer: Customer, amount: Decimal) -> None:
    wallet = get_or_open_wallet(customer, CURRENCY, by=None)
    grant_credit(wallet, amount, kind=GrantKind.PROMOTIONAL, reason="As the vector says", now=JANUARY, by=None)


def make_invoice(customer: Customer, amount: Decimal) -> Invoice:
    """Draft an invoice over an amount."""
    item = Item("As the vector says", None, amount=amount)
    return create_one_off(customer, [item], currency=CURRENCY, now=JANUARY, by=None)


def credit(invoice: Invoice, amount: Decimal) -> CreditNote:
    """Credit an amount of an invoice's only charge. Raises `CannotCredit`."""
    [charge] = list_creditable_lines(invoice)
    note = draft_credit_note(invoice, {charge.line.pk: amount}, reason=CreditReason.BILLING_ERROR, by=None)
    return finalize_credit_note(note, now=LATER, by=None)


def credit_notes(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    """Write credit notes one after the other on one invoice."""
    invoice = finalize(make_invoice(make_customer(), number(inputs["creditable"])), now=JANUARY)
    results = []
    for note in inputs["notes"]:
        try:
            credit(invoice, number(note))
        except CannotCredit:
            results.append("error")
        else:
            results.append("ok")
    invoice.refresh_from_db()
    return {"results": results, "credited": invoice.amount_credited}


def rerate_period(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    """Bill a period, change its usage, and return the next invoice's late usage.

    The feature charges its latest value, so that amounts need no computing here.
    """
    feature, customer = make_meter({"type": "latest"}, policy), make_customer()
    version = make_version({"feature": feature, "unit_amount": Decimal(1)})
    subscription = make_subscription(customer=customer, plan=version, starts_at=JANUARY, now=JANUARY)
    for total, at, known_at, billed_at in (
        (inputs["already_billed"], USED_AT, USED_AT, FEBRUARY),
        (inputs["rated_total"], CORRECTED_AT, LATER, MARCH),
    ):
        send(customer, [{"timestamp": at.isoformat(), "properties": {"value": number(total)}}], known_at)
        find_checks(now=known_at)
        reconcile_due(now=known_at)
        run_to_end(as_of=billed_at)
        finalize_due(now=billed_at)
    late = InvoiceLine.objects.filter(invoice__subscription=subscription, kind=LineKind.LATE_USAGE).first()
    return {"to_bill": late.amount if late else ZERO}


def repeat_request(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    """Top up a wallet over the API, several times with one `Idempotency-Key`."""
    wallet = get_or_open_wallet(make_customer(), CURRENCY, by=None)
    body = {"transaction_reason": "PURCHASED_CREDIT_DIRECT", "amount": str(inputs["effect_amount"])}
    key = inputs.get("idempotency_key")
    headers = {} if key is None else {"Idempotency-Key": key}
    path, api_key = f"wallets/{wallet.public_id}/top-up", make_api_key()
    answers = [post(path, body, api_key, headers) for _ in range(int(inputs["calls"]))]
    wallet.refresh_from_db()
    return {
        "effects": wallet.entries.count(),
        "errors": sum(status >= 400 for status in answers),
        "total_effect": wallet.balance,
    }


def make_api_key() -> str:
    return make_key("Conformance", scopes=(Scope.ALL,))[1]


def post(path: str, body: Mapping[str, Any], api_key: str, headers: Mapping[str, str] | None = None) -> int:
    """Send a request to the API view, and return the status of the response."""
    url = f"/v1/{path}"
    request = RequestFactory(headers={"x-api-key": api_key, **(headers or {})}).post(
        url, json.dumps(body), content_type="application/json"
    )
    door = resolve(url)
    return int(door.func(request, *door.args, **door.kwargs).status_code)
