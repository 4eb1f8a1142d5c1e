"""The nightly look whether invoiced lines still say what usage says: finds what no note told of."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from billing.late.carrying import after_of, before_of
from billing.late.figures import NOTHING, Figures, of_prices
from billing.late.finding import OF_USAGE, add_checks
from billing.models import Invoice, InvoiceLine, InvoiceState, LateAdjustment, LateState, LineKind
from billing.proof import spans_of
from customers.periods import Period
from events.retention import ledger_horizon
from events.usage import UsageRequest, floor_hour, usage_many

log = logging.getLogger(__name__)
DAYS = 62
INVOICES_AT_A_TIME = 250
type Key = tuple[int, datetime, int]  # subscription, period's start, price


def check_recent(*, now: datetime) -> int:
    """Note the periods of the last two months' invoices whose usage lines count other events than usage does now.

    Returns how many. What an adjustment says already is no difference. A second call finds the same.
    """
    found = 0
    for lines in _recent_lines(now - timedelta(days=DAYS)):
        differing = _differing(lines)
        add_checks(differing, now=now)
        found += len(differing)
    if found:
        log.warning("Usage of %s invoiced periods changed without a note: they are worked out anew", found)
    return found


def _recent_lines(since: datetime) -> Iterator[list[InvoiceLine]]:
    final = Invoice.objects.filter(
        kind__in=OF_USAGE, state__in=(InvoiceState.FINALIZED, InvoiceState.PAID), period_end__gte=since
    )
    last = 0
    while ids := list(final.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:INVOICES_AT_A_TIME]):
        last = ids[-1]
        lines = InvoiceLine.objects.filter(invoice_id__in=ids, kind=LineKind.USAGE).select_related("invoice")
        yield list(lines.order_by("pk"))


def _differing(lines: Sequence[InvoiceLine]) -> set[tuple[int, Period]]:
    horizon = ledger_horizon()
    lines = [line for line in lines if horizon is None or not _is_gone(line, horizon)]
    charged, counted = _charged(lines), _counted(lines)
    found = set()
    for line in lines:
        key = _key(line)
        if (charged[key].events, charged[key].checksum) != (counted[key].events, counted[key].checksum):
            found.add((key[0], _period(line.invoice)))
    return found


def _is_gone(line: InvoiceLine, horizon: datetime) -> bool:
    edges = [edge for span in spans_of(line) for edge in (span.start, span.end)]
    return any(floor_hour(edge) != edge and floor_hour(edge) < horizon for edge in edges)


def _key(line: InvoiceLine) -> Key:
    period = _period(line.invoice)
    return line.invoice.subscription_id or 0, period.start, line.price_id or 0


def _period(invoice: Invoice) -> Period:
    if invoice.period_start is None or invoice.period_end is None:
        raise ValueError("The invoice of a billing period has one")
    return Period(invoice.period_start, invoice.period_end)


def _charged(lines: Sequence[InvoiceLine]) -> dict[Key, Figures]:
    found: dict[Key, Figures] = defaultdict(lambda: NOTHING)
    for line in lines:
        found[_key(line)] = found[_key(line)].plus(of_prices([line])[line.price_id or 0])
    rows = LateAdjustment.objects.filter(
        subscription_id__in={key[0] for key in found}, period_start__in={key[1] for key in found}
    )
    for row in rows.exclude(state=LateState.CANCELLED):
        key = (row.subscription_id, row.period_start, row.price_id)
        found[key] = found[key].plus(after_of(row).minus(before_of(row)))
    return found


def _counted(lines: Sequence[InvoiceLine]) -> dict[Key, Figures]:
    asks = [(line, span) for line in lines for span in spans_of(line)]
    requests = [
        UsageRequest(line.invoice.customer_id, line.feature_id or 0, span.start, span.end) for line, span in asks
    ]
    found: dict[Key, Figures] = defaultdict(lambda: NOTHING)
    for (line, _), usage in zip(asks, usage_many(requests), strict=True):
        found[_key(line)] = found[_key(line)].plus(Figures(events=usage.events, checksum=usage.checksum))
    return found
