"""Facts from billing for the Event Debugger: an event's period and invoice, free units, invoice lines, amounts.

Everything is calculated by the code that bills. Read-only.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from django.db.models import Q

from billing.charges.next_invoice import NextInvoice
from billing.charges.subscription import BilledSubscription, period_in_force
from billing.charges.usage_charges import UsageCharge, list_usage_charges
from billing.charges.usage_lines import calculate_usage
from billing.facts.late_usage import late_facts
from billing.invoicing.compute import EXPECTED_ERRORS, InvoiceRequest, compute_invoices, read_event_values
from billing.invoicing.subscriptions import load_subscriptions
from billing.kinds import InvoiceKind
from billing.models import Invoice, InvoiceLine, InvoiceState, LineKind, status_of
from billing.money import ZERO, exact, format_amount, money
from config.office.links import admin_url
from customers.models import Subscription
from customers.periods import Period
from events.diagnosis.billing_facts import Facts, FreeTier, InvoiceFact, LineFact, PeriodStatus, Worth
from events.usage.meter import Quantity, UsageRequest, usage_many

MOST_PERIODS = 500


class BillingAnswers:
    """Billing's answers to `events.diagnosis.billing_facts`."""

    def facts(
        self, *, subscription_id: int, feature_ids: Collection[int], at: datetime, now: datetime
    ) -> dict[int, Facts]:
        subscription = load_subscriptions([subscription_id]).get(subscription_id)
        if subscription is None:
            return {}
        period = period_in_force(subscription, at)
        standing = period_status(period, now)
        invoice = invoice_of(subscription_id, at)
        upcoming_url, fact = _upcoming_url(subscription_id), _invoice_fact(invoice, now)
        base = Facts(period, standing, subscription.timezone, upcoming_url, fact)
        late_usage = late_facts(subscription, invoice, period)
        try:
            period_charges = list_usage_charges(subscription, NextInvoice(InvoiceKind.CYCLE, period, period.end))
        except EXPECTED_ERRORS as error:
            return {pk: late_usage.added_to(replace(base, problem=str(error)), pk) for pk in feature_ids}
        covering = [
            charge for charge in period_charges if charge.price.feature.id in feature_ids and _covers(charge, at)
        ]
        quantities = _count(subscription, covering)
        saved_lines = _saved_lines(invoice, feature_ids)
        facts = dict.fromkeys(feature_ids, base)
        for charge in covering:
            facts[charge.price.feature.id] = _facts_of(subscription, charge, quantities[id(charge)], base, at)
        return {
            pk: late_usage.added_to(replace(fact, lines=tuple(saved_lines[pk])) if saved_lines[pk] else fact, pk)
            for pk, fact in facts.items()
        }

    def worth(self, moments: Collection[tuple[int, datetime]], *, now: datetime) -> Worth:
        requests = _requests(moments)
        amounts: dict[str, Decimal] = defaultdict(Decimal)
        failed = 0
        for computed in compute_invoices(requests[:MOST_PERIODS]):
            failed += bool(computed.problem)
            for line in computed.lines:
                if line.kind in (LineKind.USAGE, LineKind.TRUE_UP):
                    amounts[computed.request.subscription.currency] += line.amount
        rated = len(requests[:MOST_PERIODS]) - failed
        return Worth(dict(amounts), rated, len(requests) - rated)

    def periods(self, moments: Collection[tuple[int, datetime]]) -> dict[int, set[Period]]:
        periods: dict[int, set[Period]] = defaultdict(set)
        for request in _requests(moments)[:MOST_PERIODS]:
            periods[request.subscription.customer_id].add(request.invoice.period)
        return dict(periods)

    def write_amount(self, amount: Decimal, currency: str) -> str:
        return format_amount(amount, currency)

    def write_digits(self, amount: Decimal, currency: str) -> str:
        return money(amount, currency)


def _requests(moments: Collection[tuple[int, datetime]]) -> list[InvoiceRequest]:
    """List the billing periods that include these (customer id, time) pairs, each once, by subscription."""
    moments_by_customer: dict[int, set[datetime]] = defaultdict(set)
    for customer_id, moment in moments:
        moments_by_customer[customer_id].add(moment)
    rows = Subscription.objects.filter(customer_id__in=list(moments_by_customer)).order_by("pk")
    subscriptions = load_subscriptions(list(rows.values_list("pk", flat=True)[:MOST_PERIODS]))
    requests = {}
    for subscription in subscriptions.values():
        for moment in moments_by_customer[subscription.customer_id]:
            if subscription.started_at <= moment and (subscription.ended_at is None or moment < subscription.ended_at):
                period = period_in_force(subscription, moment)
                requests[subscription.subscription_id, period] = InvoiceRequest(
                    subscription, NextInvoice(InvoiceKind.CYCLE, period, period.end)
                )
    return list(requests.values())


def period_status(period: Period, now: datetime) -> PeriodStatus:
    if period.end <= now:
        return PeriodStatus.PAST
    return PeriodStatus.CURRENT if period.start <= now else PeriodStatus.FUTURE


def invoice_of(subscription_id: int, at: datetime) -> Invoice | None:
    """Return the live invoice that charges the usage of a moment, if there is one."""
    invoices = Invoice.objects.filter(
        subscription_id=subscription_id,
        kind__in=(InvoiceKind.CYCLE, InvoiceKind.FINAL),
        period_start__lte=at,
        period_end__gt=at,
    )
    return invoices.exclude(state=InvoiceState.VOID).order_by("-pk").first()


def _invoice_fact(invoice: Invoice | None, now: datetime) -> InvoiceFact | None:
    if invoice is None:
        return None
    url = admin_url("billing_invoice_change", invoice.pk)
    return InvoiceFact(str(invoice), str(status_of(invoice, now).label), url, invoice.computed_at, not invoice.is_draft)


def _covers(charge: UsageCharge, at: datetime) -> bool:
    """Whether the charge is for usage of the moment. A running total covers its entire period."""
    return charge.price.feature.is_cumulative or any(window.contains(at) for window in charge.windows)


def _count(subscription: BilledSubscription, metered: Sequence[UsageCharge]) -> dict[int, list[Quantity]]:
    """Count the usage of charges with one query. Quantities are by the charge's identity, in its queries' order."""
    queries = [(charge, query) for charge in metered for query in charge.meter_queries()]
    requests = [
        UsageRequest(subscription.customer_id, query.feature_id, query.window.start, query.window.end)
        for _, query in queries
    ]
    quantities: dict[int, list[Quantity]] = defaultdict(list)
    for (charge, _), quantity in zip(queries, usage_many(requests), strict=True):
        quantities[id(charge)].append(quantity)
    return quantities


def _facts_of(
    subscription: BilledSubscription, charge: UsageCharge, quantities: list[Quantity], base: Facts, at: datetime
) -> Facts:
    tier = _free_tier(charge, quantities, at)
    try:
        values = read_event_values(subscription.customer_id, charge) if charge.needs_events else ()
        lines = calculate_usage(subscription, charge, quantities, values)
    except EXPECTED_ERRORS as error:
        return replace(base, free_tier=tier, problem=str(error))
    facts = tuple(LineFact(line.description, format_amount(line.amount, subscription.currency)) for line in lines)
    return replace(base, free_tier=tier, lines=facts)


def _free_tier(charge: UsageCharge, quantities: list[Quantity], at: datetime) -> FreeTier | None:
    """Return the free units that usage of the moment counts against, and how many were used."""
    allowance = charge.plan.allowances.get(charge.price.feature.id)
    if allowance is None or charge.is_trial or allowance.limit == 0:
        return None
    remaining = iter(quantities)
    for grant in charge.grants:
        parts = [next(remaining) for _ in grant.windows]
        before = next(remaining).value if grant.used_in is not None else ZERO
        if charge.price.feature.is_cumulative or any(window.contains(at) for window in grant.windows):
            with exact():
                used = sum((max(part.value, ZERO) for part in parts), ZERO) + max(before, ZERO)
            start = grant.used_in.start if grant.used_in else grant.windows[0].start
            return FreeTier(grant.limit, used, Period(start, grant.windows[-1].end), allowance.reset)
    return None


def _saved_lines(invoice: Invoice | None, feature_ids: Collection[int]) -> dict[int, list[LineFact]]:
    """Load the invoice's lines of the features, and the late usage lines that adjust the invoice since."""
    by_feature: dict[int, list[LineFact]] = defaultdict(list)
    if invoice is None:
        return by_feature
    usage = Q(invoice=invoice, kind__in=(LineKind.USAGE, LineKind.TRUE_UP))
    late = Q(adjusts_invoice=invoice, kind=LineKind.LATE_USAGE) & ~Q(invoice__state=InvoiceState.VOID)
    rows = InvoiceLine.objects.filter(usage | late, feature_id__in=feature_ids).select_related("invoice").order_by("pk")
    for row in rows:
        if row.feature_id is not None:
            by_feature[row.feature_id].append(
                LineFact(
                    row.description,
                    format_amount(row.amount, row.invoice.currency),
                    admin_url("billing_invoice_change", row.invoice_id),
                    is_written=True,
                    is_late=row.kind == LineKind.LATE_USAGE,
                )
            )
    return by_feature


def _upcoming_url(subscription_id: int) -> str:
    return admin_url("billing_subscription_upcoming", subscription_id) or admin_url(
        "customers_subscription_change", subscription_id
    )
