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
from billing.adjustments import Adjusted, adjust
from billing.announcing import announce
from billing.conditions import Conditions
from billing.fees import fee_lines
from billing.late.carrying import take_over
from billing.late.wordings import late_line, ripe
from billing.lines import FEE, LATE_USAGE, PRORATION, DraftLine
from billing.models import BillingRun, CouponUse, Invoice, InvoiceLine
from billing.money import UnknownCurrency
from billing.rating import NegativeQuantity, QuantityOutOfRange
from billing.steps import Step, is_issued
from billing.totals import adjustment_rows, item_of, set_parts, set_totals, uses_of
from billing.usage_charges import Ask, Charge, charges
from billing.usage_lines import usage_lines
from catalog.models import Feature
from config.db.bulk_insert import copy_in, new_row
from config.webhooks.names import WebhookEvent
from events.usage import Quantity, UsageRequest, event_values, usage_many

COPIED_COLUMNS = (
    *("kind", "feature_id", "price_id", "plan_version_id", "quantity", "free_units", "billable_quantity"),
    *("unit_amount", "amount", "exact_amount", "computation", "events_count", "events_checksum"),
    *("adjusts_id", "adjusts_invoice_id"),
)
FORESEEN = (CannotBill, UnknownCurrency, QuantityOutOfRange, NegativeQuantity)


@dataclass(slots=True)
class Work:
    """One invoice to work out. `until` leaves out usage after a moment, for an invoice whose period goes on.

    `kept` are written lines of it that stay, and count in what it comes to.
    """

    account: Account
    step: Step
    until: datetime | None = None
    kept: Sequence[InvoiceLine] = ()


@dataclass(slots=True)
class Computed:
    """What one piece of work came to: its charges and what these come to, or why it can't be billed."""

    work: Work
    lines: list[DraftLine] = field(default_factory=list)
    problem: str = ""
    adjusted: Adjusted = field(default_factory=Adjusted)

    @property
    def total(self) -> Decimal:
        return self.adjusted.total


def draft_lines(
    account: Account,
    step: Step,
    found: Sequence[Charge],
    metered: Sequence[Quantity],
    values: Callable[[Charge], Sequence[Sequence[Decimal]]],
) -> list[DraftLine]:
    """Work out an invoice's lines: fees, usage, then late usage of earlier periods.

    Pure, given the answers to the charges' `asks` in their order. `values` is asked for the single events' values of a
    charge whose price needs them. Raises one of `FORESEEN`.
    """
    answers = iter(metered)
    lines = fee_lines(account, step)
    for charge in found:
        mine = [next(answers) for _ in charge.asks()]
        lines += usage_lines(account, charge, mine, values(charge) if charge.needs_events else ())
    return lines + [late_line(item, account.currency, account.timezone) for item in ripe(account.late, step)]


def compute_many(works: Sequence[Work]) -> list[Computed]:
    """Work out many invoices with one question to the meter. One that can't be billed carries its problem.

    Invoices of one customer use up discounts and credit in the order given.
    """
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
        result.adjusted = _adjusted(work, result.lines)
    except FORESEEN as error:
        result.problem = str(error)


def _adjusted(work: Work, lines: Sequence[DraftLine]) -> Adjusted:
    """Reduce and tax the charges, unless there is such an invoice already, which then has what it used."""
    account, step = work.account, work.step
    items = [*map(item_of, work.kept), *map(item_of, lines)]
    is_open = account.conditions is not None and not is_issued(account, step)
    conditions = account.conditions if account.conditions is not None and is_open else Conditions()
    return adjust(items, conditions, currency=account.currency, at=step.due_at, subscription_id=account.subscription_id)


def _asks(own: Iterable[Charge]) -> list[Ask]:
    return [ask for charge in own for ask in charge.asks()]


def _request(work: Work, ask: Ask) -> UsageRequest:
    return UsageRequest(work.account.customer_id, ask.feature_id, ask.window.start, ask.window.end)


def values_of(customer_id: int, charge: Charge) -> list[list[Decimal]]:
    """Read the values of the events that a charge rates one by one, a list for each of its grants.

    Only prices with amounts per event need them.
    """
    feature = Feature.objects.get(pk=charge.price.feature.id)
    grants = charge.grants if charge.less is None else (*charge.grants, *charge.less.grants)
    return [
        [value for span in grant.windows for value in event_values(customer_id, feature, span.start, span.end)]
        for grant in grants
    ]


def remember(computed: Computed) -> None:
    """Let the account know which fees and late usage an invoice now holds, so that the next one reckons with them."""
    account = computed.work.account
    taken = {line.adjustment_id for line in computed.lines if line.kind == LATE_USAGE}
    account.late = [item for item in account.late if item.adjustment_id not in taken]
    account.invoiced += fees_of(computed)


def fees_of(computed: Computed) -> list[InvoicedFee]:
    """List the fees that a worked-out invoice holds."""
    parts = computed.adjusted.parts[len(computed.work.kept) :]
    return [
        InvoicedFee(
            price_id=line.price_id,
            version_id=line.plan_version_id,
            label=line.label,
            service=line.period,
            amount=line.amount,
            in_advance=line.computation["in_advance"],
            discount=part.discount,
            settles=computed.work.step.is_settlement,
        )
        for line, part in zip(computed.lines, parts, strict=True)
        if line.kind in (FEE, PRORATION)
    ]


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
        rows = [invoice_rows(invoice, each) for invoice, each in zip(invoices, many, strict=True)]
        copy_in([row for own in rows for row in own])
        write_uses(zip(invoices, many, strict=True))
        announce(WebhookEvent.INVOICE_DRAFTED, invoices, now=now)
        take_over([each.lines for each in many], rows)
    return invoices


def draft_invoice(computed: Computed, *, now: datetime) -> Invoice:
    """Make the unsaved draft of a worked-out invoice. Its grace period begins now."""
    account, step = computed.work.account, computed.work.step
    columns = {
        "customer_id": account.customer_id,
        "subscription_id": account.subscription_id,
        "kind": step.kind,
        "currency": account.currency,
        "period_start": step.period.start,
        "period_end": step.period.end,
        "computed_at": now,
        "finalize_at": now + timedelta(days=settings.INVOICE_GRACE_DAYS),
    }
    invoice = new_row(Invoice, columns)
    set_totals(invoice, computed.adjusted)
    return invoice


def write_uses(found: Iterable[tuple[Invoice, Computed]]) -> None:
    """Write which discounts written drafts use: one statement for all of them, none without discounts."""
    uses = [use for invoice, computed in found for use in uses_of(invoice, computed.adjusted)]
    if uses:
        CouponUse.objects.bulk_create(uses)


def invoice_rows(invoice: Invoice, computed: Computed) -> list[InvoiceLine]:
    """Make the unsaved rows of an invoice: its charges, each with its part of discounts and taxes, then these.

    Kept lines are brought up to date, and numbered before.
    """
    kept = computed.work.kept
    base = max((line.position for line in kept), default=0)
    rows = rows_of(invoice, computed.lines)
    for row in rows:
        row.position += base
    set_parts([*kept, *rows], computed.adjusted)
    return rows + adjustment_rows(invoice, computed.adjusted, after=base + len(rows))


def rows_of(invoice: Invoice, lines: Sequence[DraftLine]) -> list[InvoiceLine]:
    """Make the unsaved rows of an invoice's lines, in their order."""
    return [_row(invoice, line, position) for position, line in enumerate(lines, start=1)]


def _row(invoice: Invoice, line: DraftLine, position: int) -> InvoiceLine:
    columns = {name: getattr(line, name) for name in COPIED_COLUMNS}
    columns["invoice_id"], columns["position"] = invoice.pk, position
    columns["description"] = line.description[:512]
    columns["period_start"], columns["period_end"] = line.period.start, line.period.end
    return new_row(InvoiceLine, columns)
