"""Recurring fees: what is due of each by the phases as they stand, less what other invoices hold of it. Pure.

One rule serves opening, cycle, final, reissue and recompute: a fee's line is what is due for its period minus what
stands on invoices that aren't void. Nothing invoiced yet makes a fee line; a difference makes a proration line.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from billing import lines, wording
from billing.charges.next_invoice import CYCLE, FINAL, LATE, OPENING, NextInvoice, last_index
from billing.charges.subscription import ACTIVE, BilledSubscription, Fee, InvoicedFee, Phase
from billing.lines import Charge
from billing.money import ZERO, exact, format_amount, round_amount, times
from billing.rating.proration import calendar_days, factor
from config.numbers import number
from customers.periods import Period


@dataclass(slots=True)
class _Due:
    """What of a fee is due for one period: the days in force, as a share of the whole period."""

    fee: Fee | None
    version_id: int | None
    label: str
    in_advance: bool
    share: Fraction = Fraction(0)
    windows: list[Period] = field(default_factory=list)
    invoiced: list[InvoicedFee] = field(default_factory=list)


def fee_lines(subscription: BilledSubscription, step: NextInvoice) -> list[Charge]:
    """List the step's fee and proration lines: its own period first, then the next period's advance fees."""
    if step.kind == LATE:
        return []
    n = last_index(subscription, step)
    found = [] if step.kind == OPENING else _given_back(subscription, n)
    found += _period_lines(subscription, n, in_advance_only=step.kind == OPENING)
    if step.kind == CYCLE and (subscription.ended_at is None or subscription.ended_at > step.period.end):
        found += _period_lines(subscription, n + 1, in_advance_only=True)
    if step.kind == FINAL:
        later = {subscription.schedule.index_at(fee.service.start) for fee in subscription.invoiced}
        for index in sorted(index for index in later if index > n):
            # Nothing is due behind the end, of what arrears fees were invoiced either. Where the end was taken back,
            # their own periods' invoices charge them.
            has_ended = (
                subscription.ended_at is not None and subscription.ended_at <= subscription.full_period(index).start
            )
            found += _period_lines(subscription, index, in_advance_only=not has_ended)
    return found


def _given_back(subscription: BilledSubscription, n: int) -> list[Charge]:
    """Charge earlier periods for what an end gave back that was moved on, or taken back, since."""
    settled = {subscription.schedule.index_at(fee.service.start) for fee in subscription.invoiced if fee.settles}
    earlier = sorted(index for index in settled if index < n)
    return [line for index in earlier for line in _period_lines(subscription, index, in_advance_only=False)]


def _period_lines(subscription: BilledSubscription, n: int, *, in_advance_only: bool) -> list[Charge]:
    """List a period's lines. With `in_advance_only` its arrears fees, due or invoiced, are left to another invoice."""
    full = subscription.full_period(n)
    dues: dict[int, _Due] = {}
    for phase, window in subscription.windows(full, ACTIVE):
        for fee in subscription.plan(phase.version_id).fees:
            if fee.in_advance or not in_advance_only:
                blank = _Due(fee, phase.version_id, _label(subscription, fee, phase), fee.in_advance)
                due = dues.setdefault(fee.price_id, blank)
                due.windows.append(window)
                due.share += factor(full, window, subscription.timezone)
    if not subscription.prorate:
        _whole_fees(dues)
    for invoiced in subscription.invoiced:
        is_left_out = in_advance_only and not invoiced.in_advance
        if not is_left_out and subscription.schedule.index_at(invoiced.service.start) == n:
            blank = _Due(None, invoiced.version_id, invoiced.label, invoiced.in_advance)
            dues.setdefault(invoiced.price_id, blank).invoiced.append(invoiced)
    found = (_line(subscription, full, price_id, due) for price_id, due in dues.items())
    return [line for line in found if line is not None]


def _label(subscription: BilledSubscription, fee: Fee, phase: Phase) -> str:
    return fee.label or f"{subscription.plan(phase.version_id).name} fee"


def _whole_fees(dues: dict[int, _Due]) -> None:
    """Without proration one fee a period is due in full: in advance the first in force, in arrears the last."""
    for in_advance in (True, False):
        mine = {key: due for key, due in dues.items() if due.in_advance == in_advance}
        edges = [due.windows[0].start if in_advance else due.windows[-1].end for due in mine.values()]
        keep = (min if in_advance else max)(edges, default=None)
        for (price_id, due), edge in zip(mine.items(), edges, strict=True):
            due.share = Fraction(1)
            if edge != keep:
                del dues[price_id]


def _line(subscription: BilledSubscription, full: Period, price_id: int, due: _Due) -> Charge | None:
    with exact():
        whole = due.fee.unit_amount * due.fee.quantity if due.fee else ZERO
    exact_due = times(whole, due.share)
    amount = round_amount(exact_due, subscription.currency)
    if not due.invoiced:
        return _fee_line(subscription, full, price_id, due, exact_due, amount) if amount else None
    invoiced = sum((fee.amount for fee in due.invoiced), ZERO)
    if amount == invoiced:
        return None
    return _proration_line(subscription, full, price_id, due, exact_due, amount - invoiced)


def _fee_line(
    subscription: BilledSubscription, full: Period, price_id: int, due: _Due, exact_due: Decimal, amount: Decimal
) -> Charge:
    assert due.fee is not None  # noqa: S101  only a fee in force is due
    span = Period(due.windows[0].start, due.windows[-1].end)
    charged, of = _days(subscription, full, due)
    says = f"{due.label}, {wording.dates(span, subscription.timezone)}"
    if due.share != 1:
        says += f" · {charged} of {of} days"
    if due.fee.quantity != 1:
        says += f" · {number(due.fee.quantity)} × {wording.at_price(due.fee.unit_amount, subscription.currency)}"
    return Charge(
        kind=lines.FEE,
        description=says,
        period=span,
        amount=amount,
        exact_amount=exact_due,
        price_id=price_id,
        plan_version_id=due.version_id,
        quantity=due.fee.quantity,
        billable_quantity=due.fee.quantity,
        unit_amount=due.fee.unit_amount,
        computation=_computation(full, due, charged, of),
        label=due.label,
    )


def _proration_line(
    subscription: BilledSubscription, full: Period, price_id: int, due: _Due, exact_due: Decimal, difference: Decimal
) -> Charge:
    invoiced = sum((fee.amount for fee in due.invoiced), ZERO)
    with exact():
        exact_difference = exact_due - invoiced
    held = due.invoiced[0].service
    charged, of = _days(subscription, full, due)
    if difference < 0:
        span = _unused(held, due.windows)
        unused = calendar_days(held.start, held.end, subscription.timezone) - charged
        says = f"{due.label}, {wording.dates(span, subscription.timezone)}: credit for {unused} unused of {of} days"
    else:
        span = Period(due.windows[0].start, due.windows[-1].end) if due.windows else held
        says = (
            f"{due.label}, {wording.dates(span, subscription.timezone)}: {charged} of {of} days"
            f" {_apart_from(invoiced, subscription.currency)}"
        )
    return Charge(
        kind=lines.PRORATION,
        description=says,
        period=span,
        amount=difference,
        exact_amount=exact_difference,
        price_id=price_id,
        plan_version_id=due.version_id,
        unit_amount=difference,
        computation=_computation(full, due, charged, of)
        | {"due": wording.plain(exact_due), "invoiced_before": wording.plain(invoiced)},
        label=due.label,
        discount_back=_discount_back(subscription, due, difference),
    )


def _apart_from(invoiced: Decimal, currency: str) -> str:
    """Say what other invoices hold of a fee. A draft worked out anew may find that a later one credits part of it."""
    if invoiced < 0:
        return f"plus {format_amount(-invoiced, currency)} that another invoice credits"
    return f"less {format_amount(invoiced, currency)} invoiced before"


def _discount_back(subscription: BilledSubscription, due: _Due, difference: Decimal) -> Decimal:
    """Return what of the discounts on the invoiced fee goes with a credit: as much of them as of the fee."""
    invoiced = sum((fee.amount for fee in due.invoiced), ZERO)
    discounts = sum((fee.discount for fee in due.invoiced), ZERO)
    if difference >= 0 or invoiced <= 0 or not discounts:
        return ZERO
    return round_amount(times(discounts, Fraction(-difference) / Fraction(invoiced)), subscription.currency)


def _unused(held: Period, windows: list[Period]) -> Period:
    """Say which stretch of an invoiced service wasn't used: its end, else the gap that a pause left."""
    if not windows:
        return held
    if windows[-1].end < held.end:
        return Period(windows[-1].end, held.end)
    return Period(windows[0].end, windows[-1].start) if len(windows) > 1 else held


def _days(subscription: BilledSubscription, full: Period, due: _Due) -> tuple[int, int]:
    of = calendar_days(full.start, full.end, subscription.timezone)
    if due.share == 1:
        return of, of
    return sum(calendar_days(window.start, window.end, subscription.timezone) for window in due.windows), of


def _computation(full: Period, due: _Due, charged: int, of: int) -> dict[str, object]:
    how: dict[str, object] = {
        "days": {"charged": charged, "of": of},
        "period": {"from": full.start.isoformat(), "to": full.end.isoformat()},
        "label": due.label,
        "in_advance": due.in_advance,
    }
    if due.fee is not None:
        how["fee"] = wording.plain(due.fee.unit_amount)
        how |= {"quantity": wording.plain(due.fee.quantity)} if due.fee.quantity != 1 else {}
    if due.windows:
        how["windows"] = [{"from": each.start.isoformat(), "to": each.end.isoformat()} for each in due.windows]
    return how
