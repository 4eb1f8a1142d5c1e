"""Invoices: worked out from facts by `draft_lines`, for many at once by `compute_many`, and written by `issue`.

The billing run, recomputing a draft, reissuing a void invoice and the upcoming invoice all go this way, so they agree.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from django.conf import settings
from django.db import transaction

from billing.accounts import Account, CannotBill, InvoicedFee
from billing.announcing import announce
from billing.fees import fee_lines
from billing.lines import FEE, PRORATION, DraftLine, total_of
from billing.models import BillingRun, Invoice, InvoiceLine
from billing.money import UnknownCurrency
from billing.rating import NegativeQuantity, QuantityOutOfRange
from billing.steps import Step
from billing.usage_charges import Ask, Charge, charges, usage_lines
from catalog.models import Feature
from config.copying import copy_in
from config.webhooks.names import WebhookEvent
from events.usage import Quantity, UsageRequest, event_values, usage_many

FORESEEN = (CannotBill, UnknownCurrency, QuantityOutOfRange, NegativeQuantity)


@dataclass(slots=True)
class Work:
    """One invoice to work out. `until` leaves out usage after a moment, for an invoice whose period goes on."""

    account: Account
    step: Step
    until: datetime | None = None


@dataclass(slots=True)
class Computed:
    """What one piece of work came to: its lines, or why it can't be billed."""

    work: Work
    lines: list[DraftLine] = field(default_factory=list)
    problem: str = ""

    @property
    def total(self) -> Decimal:
        return total_of(self.lines)


def draft_lines(
    account: Account,
    step: Step,
    found: Sequence[Charge],
    metered: Sequence[Quantity],
    values: Callable[[Charge], Sequence[Decimal]],
) -> list[DraftLine]:
    """Work out an invoice's lines: fees, then usage. Pure, given the answers to the charges' `asks` in their order.

    `values` is asked for the single events' values of a charge whose price needs them. Raises one of `FORESEEN`.
    """
    answers = iter(metered)
    lines = fee_lines(account, step)
    for charge in found:
        mine = [next(answers) for _ in charge.asks()]
        lines += usage_lines(account, charge, mine, values(charge) if charge.needs_events else ())
    return lines


def compute_many(works: Sequence[Work]) -> list[Computed]:
    """Work out many invoices with one question to the meter. One that can't be billed carries its problem."""
    results = [Computed(work) for work in works]
    planned = [_planned(result) for result in results]
    requests = [_request(result.work, ask) for result, own in zip(results, planned, strict=True) for ask in _asks(own)]
    answers = iter(usage_many(requests) if requests else [])
    for result, own in zip(results, planned, strict=True):
        mine = [next(answers) for _ in _asks(own)]
        if not result.problem:
            _work_out(result, own, mine)
    return results


def _planned(result: Computed) -> list[Charge]:
    work = result.work
    try:
        return charges(work.account, work.step, until=work.until)
    except FORESEEN as error:
        result.problem = str(error)
        return []


def _work_out(result: Computed, own: list[Charge], metered: list[Quantity]) -> None:
    work = result.work
    try:
        result.lines = draft_lines(work.account, work.step, own, metered, partial(values_of, work.account.customer_id))
    except FORESEEN as error:
        result.problem = str(error)


def _asks(own: Iterable[Charge]) -> list[Ask]:
    return [ask for charge in own for ask in charge.asks()]


def _request(work: Work, ask: Ask) -> UsageRequest:
    return UsageRequest(work.account.customer_id, ask.feature_id, ask.window.start, ask.window.end)


def values_of(customer_id: int, charge: Charge) -> list[Decimal]:
    """Read the values of the events that a charge rates one by one: only prices with amounts per event need them."""
    feature = Feature.objects.get(pk=charge.price.feature.id)
    spans = [window for grant in charge.grants for window in grant.windows]
    return [value for span in spans for value in event_values(customer_id, feature, span.start, span.end)]


def remember(account: Account, lines: Iterable[DraftLine]) -> None:
    """Let the account know which fees an invoice now holds, so that the next one reckons with them."""
    for line in lines:
        if line.kind in (FEE, PRORATION):
            fee = InvoicedFee(line.price_id, line.plan_version_id, line.label, line.period, line.amount)
            account.invoiced.append(fee)


def issue(
    computed: Computed, *, now: datetime, run: BillingRun | None = None, replaces: Invoice | None = None
) -> Invoice:
    """Write one worked-out invoice as a draft, lines and all. `IntegrityError` if its period has a live one already."""
    return issue_many([computed], now=now, run=run, replaces=replaces)[0]


def issue_many(
    many: Sequence[Computed], *, now: datetime, run: BillingRun | None = None, replaces: Invoice | None = None
) -> list[Invoice]:
    """Write worked-out invoices as drafts in a fixed number of statements, all or none."""
    invoices = [draft_invoice(each, now=now) for each in many]
    for invoice in invoices:
        invoice.run, invoice.replaces = run, replaces
    with transaction.atomic():
        copy_in(invoices)
        rows = [rows_of(invoice, each.lines) for invoice, each in zip(invoices, many, strict=True)]
        copy_in([row for own in rows for row in own])
        announce(WebhookEvent.INVOICE_DRAFTED, invoices, now=now)
    return invoices


def draft_invoice(computed: Computed, *, now: datetime) -> Invoice:
    """Make the unsaved draft of a worked-out invoice. Its grace period begins now."""
    account, step = computed.work.account, computed.work.step
    invoice = Invoice(
        customer_id=account.customer_id,
        subscription_id=account.subscription_id,
        kind=step.kind,
        currency=account.currency,
        period_start=step.period.start,
        period_end=step.period.end,
        computed_at=now,
        finalize_at=now + timedelta(days=settings.INVOICE_GRACE_DAYS),
    )
    set_totals(invoice, computed.total)
    return invoice


def set_totals(invoice: Invoice, subtotal: Decimal) -> None:
    """Set what the invoice comes to. Discounts, taxes and credits that it carries stay as they are."""
    invoice.subtotal = subtotal
    invoice.total = subtotal - invoice.discount_total + invoice.tax_total
    invoice.amount_due = invoice.total - invoice.credits_applied


def rows_of(invoice: Invoice, lines: Sequence[DraftLine]) -> list[InvoiceLine]:
    """Make the unsaved rows of an invoice's lines, in their order."""
    return [
        InvoiceLine(
            invoice=invoice,
            position=position,
            kind=line.kind,
            description=line.description[:512],
            feature_id=line.feature_id,
            price_id=line.price_id,
            plan_version_id=line.plan_version_id,
            period_start=line.period.start,
            period_end=line.period.end,
            quantity=line.quantity,
            free_units=line.free_units,
            billable_quantity=line.billable_quantity,
            unit_amount=line.unit_amount,
            amount=line.amount,
            exact_amount=line.exact_amount,
            computation=line.computation,
            events_count=line.events_count,
            events_checksum=line.events_checksum,
        )
        for position, line in enumerate(lines, start=1)
    ]
