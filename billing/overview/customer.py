"""A customer at a glance: balances, open invoices, subscriptions with their usage, and what isn't counted or billed.

Nothing here reads all events of the customer: usage comes from hourly and daily totals, problems are counted up to a
limit.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum

from billing.invoicing.upcoming import upcoming_many
from billing.models import BillingState, CreditGrant, Invoice, LateAdjustment, Payment, WalletState
from billing.models.invoices import REMAINING
from billing.models.late import OPEN_STATES
from billing.money import ZERO
from billing.overview.double_charges import DoubleCharge, double_charges
from billing.overview.usage import SubscriptionUsage, usage_of_subscriptions
from config.office.links import admin_url
from customers.models import Customer, Subscription
from events.models import Event, Problem
from events.models.problems import ProblemState
from events.reasons import EXPLANATIONS, Reason
from events.usage.unbilled import UnbilledFeature, unbilled_features

MOST_COUNTED = 10_000
SHOWN = 10


@dataclass(slots=True)
class CurrencyBalance:
    """What a customer owes in one currency, and the prepaid credit left. A refund that is due reduces nothing."""

    currency: str
    open: Decimal = ZERO
    overdue: Decimal = ZERO
    refund_due: Decimal = ZERO
    credit: Decimal = ZERO
    open_invoices: int = 0


@dataclass(frozen=True, slots=True)
class Gap:
    """Something of the customer that isn't counted or billed: what, how often, and the page that lists or fixes it."""

    name: str
    detail: str
    url: str
    count: int = 0

    @property
    def shown(self) -> str:
        return f"{MOST_COUNTED:,}+" if self.count > MOST_COUNTED else f"{self.count:,}" if self.count else ""


@dataclass(frozen=True, slots=True)
class Child:
    """A customer that the customer pays for, with its running subscriptions and what their upcoming invoices total."""

    customer: Customer
    subscriptions: int
    totals: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class CustomerOverview:
    """Everything on the first tab of a customer's page."""

    balances: list[CurrencyBalance]
    open_invoices: list[Invoice]
    subscriptions: list[SubscriptionUsage]
    double_charges: list[DoubleCharge]
    children: list[Child]
    gaps: list[Gap]
    events: list[Event]
    problems: list[Problem]


def customer_overview(customer: Customer, *, now: datetime) -> CustomerOverview:
    """Collect the overview of a customer as of a moment. The number of queries doesn't depend on its events."""
    live = Subscription.objects.live(now).with_current(now).filter(customer=customer).select_related("customer")
    subscriptions = list(live.order_by("started_at", "pk"))
    open_invoices = Invoice.objects.to_pay().filter(customer=customer).select_related("customer", "subscription")
    usages = usage_of_subscriptions(subscriptions, now=now)
    upcoming = {usage.subscription.pk: usage.upcoming for usage in usages}
    return CustomerOverview(
        balances=list_balances(customer, now=now),
        open_invoices=list(open_invoices.order_by("due_at", "pk")[:SHOWN]),
        subscriptions=usages,
        double_charges=double_charges(customer.pk, now=now, upcoming=upcoming),
        children=list_children(customer, now=now),
        gaps=list_gaps(customer, subscriptions, now=now),
        events=latest_events(customer, SHOWN),
        problems=list(_open_problems(customer).select_related("feature").order_by("-pk")[:SHOWN]),
    )


def list_children(customer: Customer, *, now: datetime) -> list[Child]:
    """List the customers that the customer pays for."""
    children = list(customer.children.order_by("name", "pk"))
    running = list(Subscription.objects.live(now).filter(customer__in=children)) if children else []
    upcoming = upcoming_many([row.pk for row in running], now=now) if running else {}
    totals: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in running:
        coming = upcoming[row.pk]
        totals[row.customer_id][row.currency] += sum((invoice.total for invoice in coming.earlier), coming.total)
    counts = Counter(row.customer_id for row in running)
    return [Child(child, counts[child.pk], dict(sorted(totals[child.pk].items()))) for child in children]


def list_balances(customer: Customer, *, now: datetime) -> list[CurrencyBalance]:
    """Total what the customer owes and has as credit, by currency: those with an amount, or the customer's own."""
    balances: dict[str, CurrencyBalance] = {}
    invoices = Invoice.objects.filter(customer=customer).order_by().values("currency").annotate(sum=Sum(REMAINING))
    open_rows = invoices.filter(pk__in=Invoice.objects.to_pay()).annotate(
        number=Count("pk"), overdue=Sum(REMAINING, filter=Q(due_at__lt=now), default=ZERO)
    )
    for row in open_rows:
        balance = balances.setdefault(row["currency"], CurrencyBalance(row["currency"]))
        balance.open, balance.overdue, balance.open_invoices = row["sum"], row["overdue"], row["number"]
    for refund in invoices.filter(pk__in=Invoice.objects.to_refund()):
        currency = refund["currency"]
        balances.setdefault(currency, CurrencyBalance(currency)).refund_due = -refund["sum"]
    grants = CreditGrant.objects.usable(now).filter(wallet__customer=customer, wallet__state=WalletState.ACTIVE)
    for code, credit in grants.order_by().values_list("wallet__currency").annotate(sum=Sum("remaining")):
        balances.setdefault(code, CurrencyBalance(code)).credit = credit
    own = CurrencyBalance(customer.billing_currency)
    return sorted(balances.values(), key=lambda balance: balance.currency) or [own]


def list_gaps(customer: Customer, subscriptions: list[Subscription], *, now: datetime) -> list[Gap]:
    """List what of the customer isn't counted or billed: problems, usage without a price, parked and held amounts."""
    return [
        *_problem_gaps(customer),
        *(_unbilled_gap(row) for row in unbilled_features(customer, now=now)),
        *_billing_gaps(customer, subscriptions),
    ]


def latest_events(customer: Customer, most: int) -> list[Event]:
    """Return the customer's latest arrivals, newest first, without their properties."""
    return list(Event.objects.filter(customer=customer).defer("properties").order_by("-pk")[:most])


def latest_payments(customer: Customer, most: int) -> list[Payment]:
    """Return the customer's latest payments, refunds and reversals, newest first."""
    payments = Payment.objects.filter(customer=customer).select_related("invoice", "recorded_by")
    return list(payments.order_by("-pk")[:most])


def _open_problems(customer: Customer) -> Any:
    names = [customer.external_id, *customer.aliases.values_list("alias", flat=True)]
    return Problem.objects.filter(state=ProblemState.OPEN, external_customer_id__in=names)


def _problem_gaps(customer: Customer) -> list[Gap]:
    reasons = Counter(_open_problems(customer).values_list("reason", flat=True)[: MOST_COUNTED + 1])
    return [
        Gap(
            Reason(reason).label,
            f"Not counted. {EXPLANATIONS[Reason(reason)].fix}",
            admin_url("events_problem_changelist", reason=reason, external_customer_id=customer.external_id),
            count,
        )
        for reason, count in reasons.most_common()
    ]


def _unbilled_gap(row: UnbilledFeature) -> Gap:
    why = "The plan has no price for it." if row.is_subscribed else "There is no subscription."
    url = admin_url("catalog_feature_change", row.feature.pk)
    return Gap(f"{row.feature.name} this month", f"Counted, but not billed. {why}", url, row.events)


def _billing_gaps(customer: Customer, subscriptions: list[Subscription]) -> list[Gap]:
    gaps = []
    parked = BillingState.objects.filter(subscription__customer=customer).exclude(parked_reason="")
    for state in parked.select_related("subscription"):
        url = admin_url("billing_billingstate_change", state.pk)
        gaps.append(Gap(f"Subscription {state.subscription.public_id}", f"Not billed. {state.parked_reason}", url))
    held = Invoice.objects.drafts().filter(customer=customer, held_at__isnull=False)
    gaps += [
        Gap(str(draft), f"On hold. {draft.hold_reason}", draft.get_absolute_url())
        for draft in held.order_by("-pk")[:SHOWN]
    ]
    late = LateAdjustment.objects.filter(subscription__customer=customer, state__in=OPEN_STATES).count()
    if late:
        url = admin_url("billing_lateadjustment_changelist", q=customer.external_id)
        gaps.append(Gap("Late usage", "Not on an invoice yet.", url, late))
    if not subscriptions:
        url = admin_url("customers_subscription_add", customer=customer.pk)
        gaps.append(Gap("No running subscription", "Usage is counted, but not billed.", url))
    return gaps
