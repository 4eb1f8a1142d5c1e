"""Recurring fees: what is due by the current phases, minus what other invoices already hold. Pure.

One rule serves every kind of invoice, also reissued and recalculated ones: a fee's charge is the amount due for a
period minus the amounts on invoices that aren't void. If nothing is invoiced yet, the charge is a fee line; otherwise
the difference is a proration line. Example: a fee of $30.00, in advance, for June (30 days).

| event | due | invoiced before | line |
|---|---|---|---|
| June begins | $30.00 | none | fee $30.00 |
| canceled on 21 June: 20 of 30 days | $20.00 | $30.00 | proration -$10.00 |
| the cancellation is withdrawn | $30.00 | $20.00 | proration $10.00 |

A fee can cover several billing periods, counted from the anchor: 12 for an annual fee of a monthly subscription. The
same rule applies to its longer period, on every invoice: in advance it is charged on the invoice of the billing period
in which it begins, in arrears on that of the billing period in which it ends.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from billing import wording
from billing.charges.next_invoice import NextInvoice, period_index
from billing.charges.subscription import BilledSubscription, Fee, InvoicedFee, Phase
from billing.kinds import IN_ADVANCE_KINDS, InvoiceKind, LineKind
from billing.lines import Charge
from billing.money import ZERO, exact, format_amount, round_amount, times
from billing.rating.proration import calendar_days, factor
from config.numbers import number
from customers.kinds import PhaseKind
from customers.periods import Period


@dataclass(slots=True)
class _FeeDue:
    """What is due of a fee for one billing period: the windows in force, and their share of the full period."""

    fee: Fee | None
    version_id: int | None
    label: str
    in_advance: bool
    periods: int
    share: Fraction = Fraction(0)
    windows: list[Period] = field(default_factory=list)
    invoiced: list[InvoicedFee] = field(default_factory=list)

    def add_window(self, window: Period) -> None:
        """Add a window, or extend the last one: a price that a change of agreed terms keeps goes on."""
        if self.windows and self.windows[-1].end == window.start:
            window = Period(self.windows.pop().start, window.end)
        self.windows.append(window)

    @property
    def invoiced_amount(self) -> Decimal:
        return sum((fee.amount for fee in self.invoiced), ZERO)


def calculate_fees(subscription: BilledSubscription, invoice: NextInvoice) -> list[Charge]:
    """List an invoice's fee and proration charges: its own period first, then the next period's advance fees.

    An opening or change invoice has only its own period's advance fees.
    """
    if invoice.kind == InvoiceKind.LATE:
        return []
    n = period_index(subscription, invoice)
    goes_on = subscription.ended_at is None or subscription.ended_at > invoice.period.end
    covers_next = invoice.kind == InvoiceKind.CYCLE and goes_on
    invoiced_until = subscription.full_period(n + 1 if covers_next else n).end
    lengths = _lengths(subscription)
    charges: list[Charge] = []
    if invoice.kind not in IN_ADVANCE_KINDS:
        for periods in lengths:
            charges += _settled_period_charges(subscription, _FeePeriod(n, periods))
    for periods in lengths:
        own, is_final = _FeePeriod(n, periods), invoice.kind == InvoiceKind.FINAL
        is_over = is_final or (invoice.kind not in IN_ADVANCE_KINDS and own.ends_with(n))
        charges += _period_charges(subscription, own, invoiced_until, in_advance_only=not is_over)
    for periods in lengths:
        if covers_next and _FeePeriod(n, periods).ends_with(n):
            charges += _period_charges(subscription, _FeePeriod(n + 1, periods), invoiced_until, in_advance_only=True)
        if invoice.kind == InvoiceKind.FINAL:
            charges += _later_period_charges(subscription, _FeePeriod(n, periods))
    return charges


class _FeePeriod(NamedTuple):
    """The period of fees that cover `periods` billing periods, by the index of one of these."""

    n: int
    periods: int

    @property
    def number(self) -> int:
        return self.n // self.periods

    def ends_with(self, n: int) -> bool:
        """Return whether it ends at the end of billing period n."""
        return (n + 1) % self.periods == 0


def _lengths(subscription: BilledSubscription) -> list[int]:
    """List how many billing periods the fees in force and invoiced cover, in order."""
    in_force = {fee.periods for plan in subscription.plans.values() for fee in plan.fees}
    return sorted({1} | in_force | {fee.periods for fee in subscription.invoiced})


def _fee_period_of(subscription: BilledSubscription, invoiced: InvoicedFee) -> _FeePeriod:
    return _FeePeriod(subscription.schedule.index_at(invoiced.service.start), invoiced.periods)


def _settled_period_charges(subscription: BilledSubscription, current: _FeePeriod) -> list[Charge]:
    """Charge again what a settlement credited for earlier periods, if the end has been moved or removed since."""
    settled = {_fee_period_of(subscription, fee) for fee in subscription.invoiced if fee.settles}
    earlier = {period.number: period for period in settled if period.periods == current.periods}
    return [
        charge
        for period in sorted(earlier.values())
        if period.number < current.number
        for charge in _period_charges(subscription, period, None, in_advance_only=False)
    ]


def _later_period_charges(subscription: BilledSubscription, last: _FeePeriod) -> list[Charge]:
    """Credit fees that are invoiced for periods after a subscription's end."""
    charges: list[Charge] = []
    invoiced = (_fee_period_of(subscription, fee) for fee in subscription.invoiced)
    later = {period.number: period for period in invoiced if period.periods == last.periods}
    for period in sorted(period for period in later.values() if period.number > last.number):
        # After the end nothing is due, so invoiced arrears fees are credited as well. If the end has been removed,
        # the later periods' own invoices charge the arrears fees.
        start = subscription.fee_period(*period).start
        has_ended = subscription.ended_at is not None and subscription.ended_at <= start
        charges += _period_charges(subscription, period, None, in_advance_only=not has_ended)
    return charges


def _period_charges(
    subscription: BilledSubscription, period: _FeePeriod, invoiced_until: datetime | None, *, in_advance_only: bool
) -> list[Charge]:
    """List the charges of the fees of one length in one of their periods.

    `in_advance_only` leaves arrears fees, due or invoiced, to another invoice. A fee that begins at `invoiced_until` or
    later is left to the invoice of the billing period in which it begins.
    """
    full = subscription.fee_period(*period)
    dues: dict[int, _FeeDue] = {}
    for phase, window in subscription.windows(full, PhaseKind.ACTIVE):
        for fee in subscription.plan(phase.version_id).fees:
            if fee.periods == period.periods and (fee.in_advance or not in_advance_only):
                new = _FeeDue(fee, phase.version_id, _label(subscription, fee, phase), fee.in_advance, fee.periods)
                due = dues.setdefault(fee.price_id, new)
                due.add_window(window)
                due.share += factor(full, window, subscription.timezone)
    if not subscription.prorate:
        _keep_one_full_fee(dues)
    for invoiced in subscription.invoiced:
        is_excluded = invoiced.periods != period.periods or (in_advance_only and not invoiced.in_advance)
        if not is_excluded and _fee_period_of(subscription, invoiced).number == period.number:
            new = _FeeDue(None, invoiced.version_id, invoiced.label, invoiced.in_advance, invoiced.periods)
            dues.setdefault(invoiced.price_id, new).invoiced.append(invoiced)
    charges = (
        _charge(subscription, full, price_id, due)
        for price_id, due in dues.items()
        if due.invoiced or invoiced_until is None or due.windows[0].start < invoiced_until
    )
    return [charge for charge in charges if charge is not None]


def _label(subscription: BilledSubscription, fee: Fee, phase: Phase) -> str:
    return fee.label or f"{subscription.plan(phase.version_id).name} fee"


def _keep_one_full_fee(dues: dict[int, _FeeDue]) -> None:
    """Make one fee a period due in full, for a subscription without proration.

    In advance it is the first fee in force, in arrears the last. A change from a $30.00 to a $60.00 plan within June
    charges $30.00 if the fees are in advance and $60.00 if they are in arrears.
    """
    for in_advance in (True, False):
        dues_by_price = {price_id: due for price_id, due in dues.items() if due.in_advance == in_advance}
        edges = [due.windows[0].start if in_advance else due.windows[-1].end for due in dues_by_price.values()]
        kept_edge = (min if in_advance else max)(edges, default=None)
        for (price_id, due), edge in zip(dues_by_price.items(), edges, strict=True):
            due.share = Fraction(1)
            if edge != kept_edge:
                del dues[price_id]


def _charge(subscription: BilledSubscription, full: Period, price_id: int, due: _FeeDue) -> Charge | None:
    with exact():
        full_amount = due.fee.unit_amount * due.fee.quantity if due.fee else ZERO
    exact_due = times(full_amount, due.share)
    amount = round_amount(exact_due, subscription.currency)
    if not due.invoiced:
        return _fee_charge(subscription, full, price_id, due, exact_due, amount) if amount else None
    if amount == due.invoiced_amount:
        return None
    return _proration_charge(subscription, full, price_id, due, exact_due, amount - due.invoiced_amount)


def _fee_charge(
    subscription: BilledSubscription, full: Period, price_id: int, due: _FeeDue, exact_due: Decimal, amount: Decimal
) -> Charge:
    assert due.fee is not None  # noqa: S101  only a fee in force is due
    span = Period(due.windows[0].start, due.windows[-1].end)
    charged_days, days = _count_days(subscription, full, due)
    description = f"{due.label}, {wording.dates(span, subscription.timezone)}"
    if due.share != 1:
        description += f" · {charged_days} of {days} days"
    if due.fee.quantity != 1:
        price = wording.at_price(due.fee.unit_amount, subscription.currency)
        description += f" · {number(due.fee.quantity)} × {price}"
    return Charge(
        kind=LineKind.FEE,
        description=description,
        period=span,
        amount=amount,
        exact_amount=exact_due,
        price_id=price_id,
        plan_version_id=due.version_id,
        quantity=due.fee.quantity,
        billable_quantity=due.fee.quantity,
        unit_amount=due.fee.unit_amount,
        computation=_computation(full, due, charged_days, days),
        label=due.label,
    )


def _proration_charge(
    subscription: BilledSubscription, full: Period, price_id: int, due: _FeeDue, exact_due: Decimal, difference: Decimal
) -> Charge:
    with exact():
        exact_difference = exact_due - due.invoiced_amount
    invoiced_service = due.invoiced[0].service
    charged_days, days = _count_days(subscription, full, due)
    if difference < 0:
        span = _unused_period(invoiced_service, due.windows)
        invoiced_days = calendar_days(invoiced_service.start, invoiced_service.end, subscription.timezone)
        reason = f"credit for {invoiced_days - charged_days} unused of {days} days"
    else:
        span = Period(due.windows[0].start, due.windows[-1].end) if due.windows else invoiced_service
        reason = f"{charged_days} of {days} days {_describe_invoiced(due.invoiced_amount, subscription.currency)}"
    return Charge(
        kind=LineKind.PRORATION,
        description=f"{due.label}, {wording.dates(span, subscription.timezone)}: {reason}",
        period=span,
        amount=difference,
        exact_amount=exact_difference,
        price_id=price_id,
        plan_version_id=due.version_id,
        unit_amount=difference,
        computation=_computation(full, due, charged_days, days)
        | {"due": wording.plain(exact_due), "invoiced_before": wording.plain(due.invoiced_amount)},
        label=due.label,
        discount_back=_discount_back(subscription, due, difference),
    )


def _describe_invoiced(invoiced: Decimal, currency: str) -> str:
    """Describe what other invoices hold of a fee. It can be negative if a later invoice credits part of the fee."""
    if invoiced < 0:
        return f"plus {format_amount(-invoiced, currency)} that another invoice credits"
    return f"less {format_amount(invoiced, currency)} invoiced before"


def _discount_back(subscription: BilledSubscription, due: _FeeDue, difference: Decimal) -> Decimal:
    """Return the discount that a credited fee had, in proportion to the part that is credited.

    A fee of $30.00 was invoiced with a discount of $3.00. A credit of $10.00 has $1.00 of it: $9.00 are credited.
    """
    discounts = sum((fee.discount for fee in due.invoiced), ZERO)
    if difference >= 0 or due.invoiced_amount <= 0 or not discounts:
        return ZERO
    share = Fraction(-difference) / Fraction(due.invoiced_amount)
    return round_amount(times(discounts, share), subscription.currency)


def _unused_period(invoiced_service: Period, windows: list[Period]) -> Period:
    """Return which part of an invoiced service wasn't used: its end, or else the gap that a pause left."""
    if not windows:
        return invoiced_service
    if windows[-1].end < invoiced_service.end:
        return Period(windows[-1].end, invoiced_service.end)
    return Period(windows[0].end, windows[-1].start) if len(windows) > 1 else invoiced_service


def _count_days(subscription: BilledSubscription, full: Period, due: _FeeDue) -> tuple[int, int]:
    """Return how many days are charged, and how many the full period has."""
    days = calendar_days(full.start, full.end, subscription.timezone)
    if due.share == 1:
        return days, days
    return sum(calendar_days(window.start, window.end, subscription.timezone) for window in due.windows), days


def _computation(full: Period, due: _FeeDue, charged_days: int, days: int) -> dict[str, object]:
    computation: dict[str, object] = {
        "days": {"charged": charged_days, "of": days},
        "period": {"from": full.start.isoformat(), "to": full.end.isoformat()},
        "label": due.label,
        "in_advance": due.in_advance,
    }
    if due.periods != 1:
        computation["periods"] = due.periods
    if due.fee is not None:
        computation["fee"] = wording.plain(due.fee.unit_amount)
        if due.fee.quantity != 1:
            computation["quantity"] = wording.plain(due.fee.quantity)
    if due.windows:
        computation["windows"] = [
            {"from": window.start.isoformat(), "to": window.end.isoformat()} for window in due.windows
        ]
    return computation
