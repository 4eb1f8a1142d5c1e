"""Accept bank entries as payments, by suggestion or by hand; dismiss and reopen entries."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from billing.bank.matching import SURE, EntryFacts, OpenInvoice, Suggestion, suggest
from billing.models import BankEntry, Invoice, Payment, SurplusUse
from billing.models.invoices import REMAINING
from billing.refusals import CannotPay
from billing.settlement.payments import Receipt
from billing.settlement.receipts import Application, CustomerReceipt, record_receipt
from config.audit import recorded
from config.refusals import ReasonRequired, Refused
from customers.models import Customer

MOST_NOTE = 2000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an entry: its payment, or why it was skipped."""

    entry: BankEntry
    payment: Payment | None = None
    skipped: str = ""


def suggest_for(entries: Iterable[BankEntry]) -> dict[int, Suggestion]:
    """Suggest what open entries pay, by their keys, from the current invoices. A few queries for any number."""
    waiting = [entry for entry in entries if entry.live_payment is None and entry.dismissed_at is None]
    invoices = {code: _open_invoices(code) for code in {entry.currency for entry in waiting}}
    known = _known_customers({entry.payer_iban for entry in waiting if entry.payer_iban})
    suggestions = {}
    for entry in waiting:
        facts = EntryFacts(entry.amount, entry.payer_name, entry.text, known.get(entry.payer_iban))
        suggestion = suggest(facts, invoices[entry.currency])
        if suggestion is not None:
            suggestions[entry.pk] = suggestion
    return suggestions


def _open_invoices(currency: str) -> list[OpenInvoice]:
    unpaid = Invoice.objects.to_pay().filter(currency=currency).annotate(remaining=REMAINING)
    rows = unpaid.order_by("due_at", "pk").values_list("pk", "number", "remaining", "customer", "customer__name")
    return [OpenInvoice(pk, number or "", *rest) for pk, number, *rest in rows]


def _known_customers(accounts: set[str]) -> dict[str, int]:
    """Return the customer of each account that an accepted entry came from; an account of several isn't known."""
    accepted = BankEntry.objects.accepted().filter(payer_iban__in=accounts)
    pairs = set(accepted.values_list("payer_iban", "payment__customer"))
    customers: dict[str, list[int]] = {}
    for account, customer_id in pairs:
        customers.setdefault(account, []).append(customer_id)
    return {account: ids[0] for account, ids in customers.items() if len(ids) == 1}


def accept_entry(
    entry: BankEntry,
    customer: Customer,
    applications: Sequence[Application] = (),
    *,
    oldest_first: bool = False,
    surplus_to: str = SurplusUse.UNAPPLIED,
    now: datetime,
    by: User | None,
) -> Payment:
    """Record an entry as a payment of a customer. An accepted entry's payment is returned, and nothing is recorded.

    Raises `CannotPay`, also for a dismissed entry.
    """
    with transaction.atomic():
        locked = _lock(entry)
        live: Payment | None = locked.live_payment
        if live is not None:
            return live
        if locked.dismissed_at is not None:
            raise CannotPay(f"The entry {locked} is dismissed. Reopen it first.")
        locked.attempt += 1
        receipt = Receipt(
            locked.amount,
            locked.booked_on,
            reference=f"{locked.reference[:200]} {locked.public_id[-6:]}".strip(),
            note=locked.text[:MOST_NOTE],
            idempotency_key=f"bank:{locked.public_id}:{locked.attempt}",
            surplus_to=surplus_to,
        )
        received = CustomerReceipt(customer, locked.currency, receipt, applications, oldest_first=oldest_first)
        locked.payment = record_receipt(received, now=now, by=by)
        with recorded(by=by):
            locked.save(update_fields=["payment", "attempt"])
        return locked.payment


def accept_suggestions(
    entries: Sequence[BankEntry], *, at_least: int = SURE, now: datetime, by: User | None
) -> list[Outcome]:
    """Accept the suggestions of open entries with a score of at least `at_least`, each in a transaction of its own.

    Suggestions are made again after each acceptance, since it may have paid the next entry's invoice.
    """
    outcomes = []
    for entry in entries:
        suggestion = suggest_for([entry]).get(entry.pk)
        if suggestion is None or suggestion.score < at_least:
            why = "no suggestion" if suggestion is None else f"score {suggestion.score}"
            outcomes.append(Outcome(entry, skipped=why))
            continue
        try:
            outcomes.append(Outcome(entry, accept_suggestion(entry, suggestion, now=now, by=by)))
        except Refused as refused:
            outcomes.append(Outcome(entry, skipped=str(refused)))
    return outcomes


def accept_suggestion(entry: BankEntry, suggestion: Suggestion, *, now: datetime, by: User | None) -> Payment:
    """Accept a suggestion. What the invoices don't need stays unapplied. Raises `CannotPay`."""
    amounts = dict(suggestion.parts)
    invoices = Invoice.objects.filter(pk__in=amounts).order_by("pk")
    applications = [Application(invoice, amounts[invoice.pk]) for invoice in invoices]
    customer = Customer.objects.get(pk=suggestion.customer_id)
    return accept_entry(entry, customer, applications, now=now, by=by)


def dismiss_entry(entry: BankEntry, *, reason: str, now: datetime, by: User | None) -> BankEntry:
    """Dismiss an entry that pays no invoice, such as interest. Raises `CannotPay` for an accepted one."""
    if not reason.strip():
        raise ReasonRequired("Enter a reason for dismissing the entry.")
    with transaction.atomic():
        locked = _lock(entry)
        if locked.live_payment is not None:
            raise CannotPay(f"The entry {locked} is accepted. Reverse its payment first.")
        if locked.dismissed_at is None:
            locked.dismissed_at, locked.dismiss_reason = now, reason.strip()
            with recorded(by=by, reason=reason.strip()):
                locked.save(update_fields=["dismissed_at", "dismiss_reason"])
        return locked


def reopen_entry(entry: BankEntry, *, by: User | None) -> BankEntry:
    """Reopen a dismissed entry. An open one is returned unchanged."""
    with transaction.atomic():
        locked = _lock(entry)
        if locked.dismissed_at is not None:
            locked.dismissed_at, locked.dismiss_reason = None, ""
            with recorded(by=by):
                locked.save(update_fields=["dismissed_at", "dismiss_reason"])
        return locked


def _lock(entry: BankEntry) -> BankEntry:
    entries = BankEntry.objects.select_for_update(of=("self",)).select_related("payment__customer", "payment__invoice")
    return entries.get(pk=entry.pk)
