"""A slow, simple calculation of a month's usage and accrual to compare with: hour by hour, all subscriptions."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from decimal import Decimal

from billing.charges.next_invoice import NextInvoice
from billing.explanation.line_events import read_counted_windows
from billing.invoicing.compute import InvoiceRequest, compute_invoices
from billing.invoicing.subscriptions import load_subscriptions
from billing.models import Invoice, InvoiceLine
from billing.month_end.accrual import Place
from billing.month_end.months import Month
from billing.month_end.usage import UsageStatus, subscription_windows
from catalog.models import Feature, PlanVersion
from customers.models import Subscription
from customers.periods import Period
from events.models import UsageBucket

HOUR = timedelta(hours=1)


def slow_usage(month: Month, now: datetime) -> dict[tuple[str, str], int]:
    """Ask everything that may know about the hour of each bucket, and take the strongest answer."""
    accounts = load_subscriptions(list(Subscription.objects.values_list("pk", flat=True))).values()
    lines = list(InvoiceLine.objects.filter(kind__in=("usage", "late_usage")).select_related("invoice", "feature"))
    found: Counter[tuple[str, str]] = Counter()
    for bucket in UsageBucket.objects.select_related("feature"):
        if not month.period.start <= bucket.hour < month.period.end:
            continue
        answers = [UsageStatus.NO_SUBSCRIPTION]
        for line in lines:
            if (line.invoice.customer_id, line.feature_id) == (bucket.customer_id, bucket.feature_id):
                spans = read_counted_windows(line.computation)
                if any(_holds(span, bucket) for span in spans):
                    answers.append(_of_line(line))
        for account in accounts:
            if account.customer_id == bucket.customer_id:
                pieces = subscription_windows(account, bucket.feature_id, month.period, now)
                answers += [went for window, went in pieces if window.start <= bucket.hour < window.end]
        found[bucket.feature.name, min(answers).name] += bucket.count
    return dict(found)


def _holds(span: Period, bucket: UsageBucket) -> bool:
    return (bucket.feature.is_cumulative or span.start <= bucket.hour) and bucket.hour < span.end


def _of_line(line: InvoiceLine) -> UsageStatus:
    if line.invoice.state == "void":
        return UsageStatus.VOID
    if line.computation.get("trial"):
        return UsageStatus.FREE_TRIAL
    return UsageStatus.DRAFT if line.invoice.state == "draft" else UsageStatus.INVOICED


def slow_accrual(month: Month) -> dict[Place, tuple[Decimal, int]]:
    """Rate every period from what invoices held by the month's end until then, one after the other."""
    end = month.period.end
    amounts: dict[Place, Decimal] = defaultdict(Decimal)
    who: dict[Place, set[int]] = defaultdict(set)
    for subscription in Subscription.objects.filter(started_at__lt=end):
        account = load_subscriptions([subscription.pk])[subscription.pk]
        held = Invoice.objects.filter(subscription=subscription, kind__in=("cycle", "final"), finalized_at__lt=end)
        standing = [each for each in held if each.voided_at is None or each.voided_at >= end]
        live = [each.period_end for each in standing if each.period_end is not None]
        since, until = max(live, default=account.started_at), min(end, account.ended_at or end)
        while since < until:
            full = account.full_period(account.schedule.index_at(since))
            period = Period(since, min(full.end, account.ended_at or full.end))
            (computed,) = compute_invoices(
                [InvoiceRequest(account, NextInvoice("cycle", period, period.end), until=end)]
            )
            for line in computed.lines:
                if line.kind in ("usage", "true_up") and line.amount:
                    plan = PlanVersion.objects.get(pk=line.plan_version_id or 0).plan.name
                    beside = ": minimum commitment" if line.kind == "true_up" else ""
                    place = (subscription.currency, plan, Feature.objects.get(pk=line.feature_id or 0).name + beside)
                    amounts[place] += line.amount
                    who[place].add(subscription.pk)
            since = period.end
    return {key: (amount, len(who[key])) for key, amount in amounts.items()}
