"""Usage of the current period by day against free units and tiers, as a fragment of other pages."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from billing.charges.subscription import BilledSubscription
from billing.charges.usage_charges import UsageCharge
from billing.overview.usage_by_day import UsageByDay, list_charges, usage_by_day
from catalog.kinds import EntitlementReset
from config.numbers import number
from config.office.charts import Chart, ChartColor, ChartKind, Mark, Series
from config.office.links import admin_url
from config.office.pages import AdminView
from customers.periods import Period, local_date
from events.links import occurred_between

MOST_TABS = 6
MOST_MARKS = 6
HEADINGS = {"day": "Day", "week": "Week from", "month": "Month from"}
PROJECTION = "Straight-line projection"


class SubscriptionUsage(AdminView):
    """Draw the usage of a subscription's features by day; with many features one at a time, chosen by `?price=`."""

    permission = "customers.view_subscription"
    template_name = "admin/billing/usage_by_day.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        now, subscription_id = timezone.now(), kwargs["subscription_id"]
        subscription, charges = list_charges(subscription_id, now=now)
        names = [_name(charge, charges, subscription.timezone) for charge in charges] if subscription else []
        chosen = range(len(charges))
        if len(charges) > MOST_TABS:
            prices = [str(charge.price.price_id) for charge in charges]
            price = request.GET.get("price", "")
            chosen = range(at := prices.index(price) if price in prices else 0, at + 1)
        return self.render(
            subscription_id=subscription_id,
            charts=usage_charts(subscription, [(names[at], charges[at]) for at in chosen], now) if subscription else [],
            choices=[(charge.price.price_id, name) for charge, name in zip(charges, names, strict=True)],
            chosen=[charges[at].price.price_id for at in chosen],
            has_choices=len(charges) > MOST_TABS,
        )


def usage_charts(
    subscription: BilledSubscription, charges: Sequence[tuple[str, UsageCharge]], now: datetime
) -> list[Chart]:
    """Return a chart for each of the named charges."""
    usages = usage_by_day(subscription, [charge for _, charge in charges], now=now)
    return [_chart(name, usage, subscription.customer_id) for (name, _), usage in zip(charges, usages, strict=True)]


def _chart(name: str, usage: UsageByDay, customer_id: int) -> Chart:
    marks = _marks(usage)
    ahead: list[None] = [None] * (len(usage.windows) - len(usage.totals))
    return Chart(
        title="Usage of this period against free units and tiers",
        heading=HEADINGS[usage.unit],
        tab=name,
        labels=[f"{local_date(window.start, usage.timezone):%Y-%m-%d}" for window in usage.windows],
        series=[
            Series("Total so far", [*usage.totals, *ahead], links=_event_urls(usage, customer_id)),
            Series(PROJECTION, usage.projection or [None] * len(usage.windows), ChartColor.QUIET, is_hatched=True),
        ],
        kind=ChartKind.LINE,
        unit=usage.charge.price.feature.unit_plural,
        marks=marks,
        note=" · ".join([f"{name}, running total by {usage.unit} in {usage.timezone}", *_notes(usage, marks)]),
        empty_text=_empty_text(usage),
    )


def _name(charge: UsageCharge, charges: Sequence[UsageCharge], timezone: str) -> str:
    """Name a charge so that it differs from the others: by its label, else its plan version, else its first day."""
    label = charge.price.label
    same = [other for other in charges if other.price.label == label]
    if len(same) == 1:
        return label
    if charge.is_trial:
        return f"{label}, trial"
    version = (charge.plan.name, charge.plan.number)
    if sum((other.plan.name, other.plan.number) == version for other in same if not other.is_trial) == 1:
        return f"{label}, {charge.plan.name} v{charge.plan.number}"
    return f"{label}, from {local_date(charge.span.start, timezone):%Y-%m-%d}"


def _marks(usage: UsageByDay) -> list[Mark]:
    """Return the end of the free units and of the tiers around the usage: the last ones passed, and the next one."""
    free = [Mark(f"Free up to {number(usage.free_units)}", usage.free_units)] if usage.free_units else []
    reached = max([total for total in (*usage.totals, *usage.projection) if total is not None], default=Decimal(0))
    edges = usage.edges
    passed = [edge for edge in edges if edge[1] <= reached]
    shown = [*passed[-(MOST_MARKS - 2) :], *edges[len(passed) : len(passed) + 1]]
    return [*free, *(Mark(f"Tier {tier} up to {number(up_to)}", up_to) for tier, up_to in shown)]


def _notes(usage: UsageByDay, marks: Sequence[Mark]) -> list[str]:
    charge = usage.charge
    allowance = charge.plan.allowances.get(charge.price.feature.id)
    notes = [mark.name for mark in marks]
    if charge.is_trial:
        return [*notes, "free during the trial"]
    if allowance is not None and allowance.limit is None:
        return [*notes, "unlimited free units"]
    if allowance is not None and allowance.limit and usage.free_units is None and usage.is_counted:
        reset = str(EntitlementReset(allowance.reset).label).lower()
        return [*notes, f"{number(allowance.limit)} free {reset}"]
    return notes


def _empty_text(usage: UsageByDay) -> str:
    if not usage.is_counted:
        return "Distinct values aren't counted by day here. The Query tool shows them."
    return "No usage in this period yet."


def _event_urls(usage: UsageByDay, customer_id: int) -> list[str]:
    """Return the addresses of the events of each window that has begun."""
    return [_events_url(usage, customer_id, window) if window.start < usage.now else "" for window in usage.windows]


def _events_url(usage: UsageByDay, customer_id: int, window: Period) -> str:
    filters = {"counts_for": usage.charge.price.feature.id, "customer__id__exact": customer_id}
    return admin_url("events_event_changelist", **filters, **occurred_between(window.start, window.end))
