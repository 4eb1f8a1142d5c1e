"""The Query tool's request: a feature, customers, a window and a grouping, read from the URL's parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from django.db.models import TextChoices

from catalog.models import Feature
from customers.models import Customer, Subscription
from customers.periods import NoSuchPeriod, Period
from customers.subscriptions import get_billing_period
from events import wording

MOST_CUSTOMERS = 20


class Grouping(TextChoices):
    """By what the usage is grouped."""

    NONE = "", "No grouping"
    HOUR = "hour", "Hour"
    DAY = "day", "Day"
    WEEK = "week", "Week"
    MONTH = "month", "Month"
    PROPERTY = "property", "Property"


class Window(TextChoices):
    """The time range of the usage."""

    CURRENT = "current", "Current billing period"
    LAST = "last", "Last billing period"
    BEFORE = "before", "Billing period before last"
    DAY = "day", "Last 24 hours"
    WEEK = "week", "Last 7 days"
    MONTH = "month", "This month"
    MONTH_BEFORE = "month_before", "Last month"
    CUSTOM = "custom", "Custom range"


BILLING_PERIODS = {Window.CURRENT: 0, Window.LAST: -1, Window.BEFORE: -2}


class QueryRefused(Exception):
    """The query can't be answered; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Query:
    """A feature, customers (none: all with usage), a window in a time zone, and how to group the usage."""

    feature: Feature
    customers: tuple[Customer, ...]
    window: Window
    period: Period
    timezone: str
    group: Grouping = Grouping.NONE
    property: str = ""
    subscription: Subscription | None = None


def read_query(parameters: Mapping[str, str], customers: Sequence[str], *, now: datetime) -> Query:
    """Read a query from the URL's parameters. Raises QueryRefused."""
    number = parameters.get("feature", "")
    feature = Feature.objects.metered().filter(pk=int(number)).first() if number.isdecimal() else None
    if feature is None:
        raise QueryRefused("Choose a feature.")
    selected = _customers(customers)
    name = parameters.get("window") or (Window.CURRENT if selected else Window.MONTH)
    if name not in Window:
        raise QueryRefused("Choose a window.")
    window = Window(name)
    subscription = _subscription(selected, now) if window in BILLING_PERIODS else None
    timezone = parameters.get("timezone") or (subscription.timezone if subscription else _timezone_of(selected))
    if timezone not in available_timezones():
        raise QueryRefused(f"{timezone} is not a time zone. Enter a name such as Europe/Berlin or UTC.")
    group_name = parameters.get("group", "")
    if group_name not in Grouping:
        raise QueryRefused("Choose what to group by.")
    group = Grouping(group_name)
    property_name = parameters.get("property", "").strip() if group == Grouping.PROPERTY else ""
    if group == Grouping.PROPERTY and not property_name:
        raise QueryRefused("Enter the property to group by, for example model.")
    period = _period(window, parameters, timezone, subscription, now)
    return Query(feature, selected, window, period, timezone, group, property_name, subscription)


def _customers(external_ids: Sequence[str]) -> tuple[Customer, ...]:
    names = [name for name in dict.fromkeys(part.strip() for part in external_ids) if name]
    if len(names) > MOST_CUSTOMERS:
        raise QueryRefused(f"Choose at most {MOST_CUSTOMERS} customers, or none for all customers.")
    customers = {customer.external_id: customer for customer in Customer.objects.filter(external_id__in=names)}
    if missing := [name for name in names if name not in customers]:
        raise QueryRefused(f"No customer has the external customer ID {', '.join(map(wording.quoted, missing))}.")
    return tuple(customers[name] for name in names)


def _subscription(customers: Sequence[Customer], now: datetime) -> Subscription:
    """Find the subscription whose billing periods to use: the first customer's latest live subscription."""
    if not customers:
        raise QueryRefused("Billing periods depend on the customer: choose a customer, or another window.")
    subscriptions = Subscription.objects.filter(customer=customers[0]).order_by("-started_at")
    subscription = subscriptions.live(now).first() or subscriptions.first()
    if subscription is None:
        raise QueryRefused(f"{customers[0]} has no subscription and so no billing periods: choose another window.")
    return subscription


def _timezone_of(customers: Sequence[Customer]) -> str:
    return customers[0].timezone if customers else "UTC"


def _period(
    window: Window, parameters: Mapping[str, str], timezone: str, subscription: Subscription | None, now: datetime
) -> Period:
    if subscription is not None:
        try:
            return get_billing_period(subscription, now, offset=BILLING_PERIODS[window])
        except NoSuchPeriod as error:
            raise QueryRefused("The subscription started later, so it has no such billing period.") from error
    if window == Window.CUSTOM:
        period = Period(_moment(parameters, "start", timezone), _moment(parameters, "end", timezone))
        if period.start >= period.end:
            raise QueryRefused("The window's end must be after its start.")
        return period
    if window in (Window.DAY, Window.WEEK):
        return Period(now - timedelta(days=1 if window == Window.DAY else 7), now)
    first = now.astimezone(ZoneInfo(timezone)).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    if window == Window.MONTH_BEFORE:
        first = (first - timedelta(days=1)).replace(day=1, hour=0)
    after = (first + timedelta(days=32)).replace(day=1, hour=0)
    return Period(first.astimezone(UTC), after.astimezone(UTC))


def _moment(parameters: Mapping[str, str], name: str, timezone: str) -> datetime:
    try:
        moment = datetime.fromisoformat(parameters.get(name, ""))
    except ValueError as error:
        raise QueryRefused("Enter the window's start and end, for example 2026-09-01T00:00.") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))).astimezone(UTC)
