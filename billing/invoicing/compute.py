"""Calculate invoices from facts: `compute_invoices` for many at once, `calculate_charges` for one.

Billing runs, recalculated drafts, reissued invoices and the upcoming invoice all use these, so they agree.
`issue_invoices` saves the result.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial

from billing.adjustments.adjust import InvoiceTotals, adjust
from billing.adjustments.conditions import Conditions
from billing.adjustments.credit import credit_moment
from billing.charges.fees import calculate_fees
from billing.charges.late_lines import due_items, late_line
from billing.charges.next_invoice import NextInvoice, is_issued
from billing.charges.subscription import BilledSubscription, CannotBill, InvoicedFee
from billing.charges.subscription_commitments import calculate_commitments, commitments_of, usage_of
from billing.charges.usage_charges import MeterQuery, UsageCharge, list_usage_charges
from billing.charges.usage_lines import calculate_usage
from billing.invoicing.rows import charge_of
from billing.kinds import FEE_KINDS, InvoiceKind, LineKind
from billing.lines import Charge
from billing.models import InvoiceLine
from billing.money import UnknownCurrency
from billing.rating.rate import QuantityOutOfRange
from catalog.models import Feature
from events.usage.meter import Quantity, UsageRequest, event_values, usage_many

EXPECTED_ERRORS = (CannotBill, UnknownCurrency, QuantityOutOfRange)


@dataclass(slots=True)
class InvoiceRequest:
    """An invoice to calculate. `until` leaves out usage after a moment, for an invoice whose period isn't over.

    `kept` are saved lines of the invoice that stay; the totals include them. `now` is when an invoice that was due
    earlier is calculated: credit that has expired since can't pay it, unless its period ended before.
    """

    subscription: BilledSubscription
    invoice: NextInvoice
    until: datetime | None = None
    kept: Sequence[InvoiceLine] = ()
    now: datetime | None = None


@dataclass(slots=True)
class ComputedInvoice:
    """Charges and totals of one invoice, or the reason it can't be billed."""

    request: InvoiceRequest
    lines: list[Charge] = field(default_factory=list)
    problem: str = ""
    adjusted: InvoiceTotals = field(default_factory=InvoiceTotals)

    @property
    def total(self) -> Decimal:
        return self.adjusted.total

    @property
    def is_needed(self) -> bool:
        """Whether to issue the invoice. A change that leaves nothing to pay is left to the next invoice."""
        return bool(self.lines) and (self.request.invoice.kind != InvoiceKind.CHANGE or self.total > 0)


def calculate_charges(
    subscription: BilledSubscription,
    invoice: NextInvoice,
    usage_charges: Sequence[UsageCharge],
    quantities: Sequence[Quantity],
    read_values: Callable[[UsageCharge], Sequence[Sequence[Decimal]]],
) -> list[Charge]:
    """Return an invoice's charges: fees, usage, late usage of earlier periods, then commitments.

    `quantities` answer the usage charges' meter queries, in their order. `read_values` returns the values of single
    events for a charge whose price needs them. Raises one of `EXPECTED_ERRORS`.
    """
    remaining = iter(quantities)
    charges = calculate_fees(subscription, invoice)
    for usage_charge in usage_charges:
        readings = [next(remaining) for _ in usage_charge.meter_queries()]
        values = read_values(usage_charge) if usage_charge.needs_events else ()
        charges += calculate_usage(subscription, usage_charge, readings, values)
    late_items = due_items(subscription.late, invoice)
    charges += [late_line(item, subscription.currency, subscription.timezone) for item in late_items]
    return charges + calculate_commitments(subscription, invoice, charges)


def compute_invoices(requests: Sequence[InvoiceRequest]) -> list[ComputedInvoice]:
    """Calculate many invoices, with one query to the meter. An invoice that can't be billed has a `problem`.

    Invoices of one customer use up discounts and credit in the order given.
    """
    invoices = [ComputedInvoice(request) for request in requests]
    usage_charges = [_usage_charges(invoice) for invoice in invoices]
    usage_requests = [
        _usage_request(invoice.request, query)
        for invoice, charges in zip(invoices, usage_charges, strict=True)
        for query in _meter_queries(charges)
    ]
    remaining = iter(usage_many(usage_requests) if usage_requests else [])
    for invoice, charges in zip(invoices, usage_charges, strict=True):
        quantities = [next(remaining) for _ in _meter_queries(charges)]
        if not invoice.problem:
            _compute(invoice, charges, quantities)
    return invoices


def _usage_charges(computed: ComputedInvoice) -> list[UsageCharge]:
    request = computed.request
    try:
        return list_usage_charges(request.subscription, request.invoice, until=request.until)
    except EXPECTED_ERRORS as error:
        computed.problem = str(error)
        return []


def _compute(computed: ComputedInvoice, usage_charges: list[UsageCharge], quantities: list[Quantity]) -> None:
    request = computed.request
    read_values = partial(read_event_values, request.subscription.customer_id)
    try:
        computed.lines = calculate_charges(
            request.subscription, request.invoice, usage_charges, quantities, read_values
        )
        computed.adjusted = _adjust(request, computed.lines)
        _leave_credit_to_next_invoice(computed)
    except EXPECTED_ERRORS as error:
        computed.problem = str(error)


def _leave_credit_to_next_invoice(computed: ComputedInvoice) -> None:
    """Leave out the charges of a change invoice that they would make negative: the next invoice has them.

    Upgraded from $499.00 to $998.00 a year on 1 February, a draft of $456.62. Downgraded to $100.00 on 10 February,
    before it is finalized: -$342.97 for the rest of the year, on the invoice of the next 1 January.
    """
    request = computed.request
    if request.invoice.kind == InvoiceKind.CHANGE and computed.total < 0:
        without = _adjust(request, [])
        if without.total > computed.total:
            computed.lines, computed.adjusted = [], without


def _adjust(request: InvoiceRequest, charges: Sequence[Charge]) -> InvoiceTotals:
    """Discount and tax the charges, unless the invoice exists already and has used its discounts."""
    subscription, invoice = request.subscription, request.invoice
    is_open = subscription.conditions is not None and not is_issued(subscription, invoice)
    conditions = subscription.conditions if subscription.conditions is not None and is_open else Conditions()
    return adjust(
        [*map(charge_of, request.kept), *charges],
        conditions,
        currency=subscription.currency,
        at=invoice.due_at,
        credit_at=credit_moment(invoice.period.end, max(invoice.due_at, request.now or invoice.due_at)),
        subscription_id=subscription.subscription_id,
    )


def _meter_queries(usage_charges: Iterable[UsageCharge]) -> list[MeterQuery]:
    return [query for charge in usage_charges for query in charge.meter_queries()]


def _usage_request(request: InvoiceRequest, query: MeterQuery) -> UsageRequest:
    return UsageRequest(request.subscription.customer_id, query.feature_id, query.window.start, query.window.end)


def read_event_values(customer_id: int, charge: UsageCharge) -> list[list[Decimal]]:
    """Read the values of the events of each of a charge's grants. Only prices that charge single events need them."""
    feature = Feature.objects.get(pk=charge.price.feature.id)
    grants = charge.grants if charge.charged_before is None else (*charge.grants, *charge.charged_before.grants)
    return [
        [value for span in grant.windows for value in event_values(customer_id, feature, span.start, span.end)]
        for grant in grants
    ]


def record_on_subscription(computed: ComputedInvoice) -> None:
    """Add an invoice's charges to the subscription, so that its next invoice doesn't charge them again."""
    subscription = computed.request.subscription
    charged = {charge.adjustment_id for charge in computed.lines if charge.kind == LineKind.LATE_USAGE}
    subscription.late = [item for item in subscription.late if item.adjustment_id not in charged]
    subscription.invoiced += fees_of(computed)
    record_commitments(subscription, computed)


def record_commitments(subscription: BilledSubscription, computed: ComputedInvoice) -> None:
    """Add an invoice's usage and lines of commitments to what the subscription's next invoice takes into account."""
    if subscription.committed.amounts:
        until = computed.request.invoice.period.end
        subscription.committed.usage += usage_of(computed.lines)
        subscription.committed.invoiced += commitments_of(computed.lines, until)


def fees_of(computed: ComputedInvoice) -> list[InvoicedFee]:
    """List the fees of a calculated invoice."""
    return [
        InvoicedFee(
            price_id=charge.price_id,
            version_id=charge.plan_version_id,
            label=charge.label,
            service=charge.period,
            amount=charge.amount,
            in_advance=charge.computation["in_advance"],
            discount=charge.discount,
            settles=computed.request.invoice.is_settlement,
            periods=charge.computation.get("periods", 1),
        )
        for charge in computed.lines
        if charge.kind in FEE_KINDS and charge.price_id is not None and charge.period is not None
    ]
