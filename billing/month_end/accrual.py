"""What is earned by the end of a month and not billed then: the usage of periods that go on, and of those still due."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import batched

from django.db.models import Max, Q

from billing.accounts import Account
from billing.invoicing import Work, compute_many
from billing.lines import USAGE
from billing.loading import load_accounts
from billing.models import Invoice, InvoiceKind
from billing.money import ZERO
from billing.month_end.months import Month, TooMuch
from billing.steps import CYCLE, Step
from catalog.models import Feature, PlanVersion
from customers.models import Subscription
from customers.periods import Period

MOST_SUBSCRIPTIONS = 5_000
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class AccrualRow:
    """What a plan's feature earned without being billed by the month's end, and in how many subscriptions."""

    currency: str
    plan: str
    feature: str
    amount: Decimal
    subscriptions: int


@dataclass(frozen=True, slots=True)
class Accrual:
    """The month's accrual by currency, plan and feature; by subscription, why something couldn't be worked out."""

    rows: Sequence[AccrualRow]
    problems: dict[str, str]

    def totals(self) -> dict[str, Decimal]:
        found: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for row in self.rows:
            found[row.currency] += row.amount
        return dict(sorted(found.items()))


def accrual(month: Month, *, most: int | None = MOST_SUBSCRIPTIONS) -> Accrual:
    """Rate the usage that no invoice finalized by the month's end holds, by the code that bills, as usage is known now.

    Of every period that has begun by then: the part until then. Draft invoices aren't revenue, so their periods are in.
    `TooMuch` for more than `most` subscriptions.
    """
    end = month.period.end
    unsettled = Q(ended_at=None) | Q(ended_at__gt=month.period.start) | Q(billing__closed_at=None)
    live = Subscription.objects.filter(unsettled, started_at__lt=end).order_by("pk")
    ids = list(live.values_list("pk", flat=True)[: (most or 10**9) + 1])
    if most is not None and len(ids) > most:
        raise TooMuch(f"More than {most:,} subscriptions ran: run `manage.py month_end {month}` instead.")
    return _summed(ids, end)


def _summed(ids: Sequence[int], end: datetime) -> Accrual:
    amounts: dict[tuple[str, int | None, int | None], Decimal] = defaultdict(lambda: ZERO)
    subscriptions: dict[tuple[str, int | None, int | None], set[int]] = defaultdict(set)
    problems: dict[int, str] = {}
    for some in batched(ids, AT_ONCE):
        for computed in compute_many(list(_works(some, end))):
            account = computed.work.account
            if computed.problem:
                problems[account.subscription_id] = computed.problem
            for line in computed.lines:
                if line.kind == USAGE and line.amount:
                    key = (account.currency, line.plan_version_id, line.feature_id)
                    amounts[key] += line.amount
                    subscriptions[key].add(account.subscription_id)
    return Accrual(_rows(amounts, subscriptions), _named(problems))


def _works(ids: Sequence[int], end: datetime) -> Iterator[Work]:
    """List the periods to be rated: those that began before the end and that no invoice of then held."""
    covered = _covered(ids, end)
    for account in load_accounts(ids).values():
        since = covered.get(account.subscription_id) or account.started_at
        until = end if account.ended_at is None else min(end, account.ended_at)
        while since < until:
            period = _period(account, since)
            yield Work(account, Step(CYCLE, period, period.end), until=end)
            since = period.end


def _period(account: Account, since: datetime) -> Period:
    full = account.full_period(account.schedule.index_at(since))
    return Period(since, full.end if account.ended_at is None else min(full.end, account.ended_at))


def _covered(ids: Sequence[int], end: datetime) -> dict[int, datetime]:
    """Say up to when invoices that were finalized, and not void, by the end had charged each subscription's usage."""
    invoices = Invoice.objects.filter(
        Q(voided_at=None) | Q(voided_at__gte=end),
        subscription__in=ids,
        kind__in=(InvoiceKind.CYCLE, InvoiceKind.FINAL),
        finalized_at__lt=end,
    )
    return dict(invoices.order_by().values_list("subscription_id").annotate(until=Max("period_end")))


def _rows(
    amounts: dict[tuple[str, int | None, int | None], Decimal],
    subscriptions: dict[tuple[str, int | None, int | None], set[int]],
) -> list[AccrualRow]:
    versions = PlanVersion.objects.select_related("plan").in_bulk({key[1] for key in amounts if key[1]})
    features = Feature.objects.in_bulk({key[2] for key in amounts if key[2]})
    named: dict[tuple[str, str, str], tuple[Decimal, set[int]]] = {}
    for key, amount in amounts.items():
        plan = versions[key[1]].plan.name if key[1] else ""
        name = (key[0], plan, features[key[2]].name if key[2] else "")
        before = named.get(name, (ZERO, set()))
        named[name] = (before[0] + amount, before[1] | subscriptions[key])
    return [AccrualRow(*name, amount, len(which)) for name, (amount, which) in sorted(named.items())]


def _named(problems: dict[int, str]) -> dict[str, str]:
    found = Subscription.objects.filter(pk__in=problems).values_list("pk", "public_id")
    return {public_id: problems[pk] for pk, public_id in found}
