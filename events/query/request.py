"""What the Query tool is asked: a feature, customers, a window and a grouping, read from an address's parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from catalog.models import Feature
from customers.models import Customer, Subscription
from customers.periods import NoSuchPeriod, Period
from customers.subscriptions import get_billing_period
from events import wording

MOST_CUSTOMERS = 20
GROUPS = {
    "": "Nothing: one number",
    "hour": "Hour",
    "day": "Day",
    "week": "Week",
    "month": "Month",
    "property": "Property",
}
WINDOWS = {
    "current": "Current billing period",
    "last": "Last billing period",
    "before": "Billing period before that",
    "day": "Last 24 hours",
    "week": "Last 7 days",
    "month": "This month",
    "month_before": "Last month",
    "custom": "From … to …",
}


class QueryRefused(Exception):
    """The query can't be answered; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked: a feature, customers (none: all that used it), a window in a time zone, and how to group it."""

    feature: Feature
    customers: tuple[Customer, ...]
    window: str
    period: Period
    timezone: str
    group: str = ""
    property: str = ""
    subscription: Subscription | None = None


def read_query(given: Mapping[str, str], customers: Sequence[str], *, now: datetime) -> Query:
    """Make a query of an address's parameters. Raises QueryRefused with what to change."""
    number = given.get("feature", "")
    feature = Feature.objects.metered().filter(pk=int(number)).first() if number.isdecimal() else None
    if feature is None:
        raise QueryRefused("Choose a feature.")
    chosen = _customers(customers)
    window = given.get("window") or ("current" if chosen else "month")
    if window not in WINDOWS:
        raise QueryRefused("Choose a window.")
    subscription = _subscription(chosen, now) if window in ("current", "last", "before") else None
    timezone = given.get("timezone") or (subscription.timezone if subscription else _timezone_of(chosen))
    if timezone not in available_timezones():
        raise QueryRefused(f"{timezone} is no time zone. Write it like Europe/Berlin, or UTC.")
    group = given.get("group", "")
    name = given.get("property", "").strip()
    if group not in GROUPS:
        raise QueryRefused("Choose what to group by.")
    if group == "property" and not name:
        raise QueryRefused("Name the property to group by, for example model.")
    period = _window(window, given, timezone, subscription, now)
    return Query(feature, chosen, window, period, timezone, group, name if group == "property" else "", subscription)


def _customers(external_ids: Sequence[str]) -> tuple[Customer, ...]:
    wanted = [name for name in dict.fromkeys(part.strip() for part in external_ids) if name]
    if len(wanted) > MOST_CUSTOMERS:
        raise QueryRefused(f"Choose at most {MOST_CUSTOMERS} customers, or none for all of them.")
    found = {customer.external_id: customer for customer in Customer.objects.filter(external_id__in=wanted)}
    if missing := [name for name in wanted if name not in found]:
        raise QueryRefused(f"No customer has the external id {', '.join(map(wording.quoted, missing))}.")
    return tuple(found[name] for name in wanted)


def _subscription(customers: Sequence[Customer], now: datetime) -> Subscription:
    """Find whose billing periods are meant: the first chosen customer's newest live subscription."""
    if not customers:
        raise QueryRefused("Billing periods are a customer's own: choose a customer, or another window.")
    mine = Subscription.objects.filter(customer=customers[0])
    found = mine.live(now).order_by("-started_at").first() or mine.order_by("-started_at").first()
    if found is None:
        raise QueryRefused(f"{customers[0]} has no subscription, and so no billing periods: choose another window.")
    return found


def _timezone_of(customers: Sequence[Customer]) -> str:
    return customers[0].timezone if customers else "UTC"


def _window(
    window: str, given: Mapping[str, str], timezone: str, subscription: Subscription | None, now: datetime
) -> Period:
    if subscription is not None:
        offset = {"current": 0, "last": -1, "before": -2}[window]
        try:
            return get_billing_period(subscription, now, offset=offset)
        except NoSuchPeriod as error:
            raise QueryRefused("The subscription has no such billing period: it began later.") from error
    if window == "custom":
        period = Period(_moment(given, "start", timezone), _moment(given, "end", timezone))
        if period.start >= period.end:
            raise QueryRefused("The window ends before it begins.")
        return period
    if window in ("day", "week"):
        return Period(now - timedelta(days=1 if window == "day" else 7), now)
    first = now.astimezone(ZoneInfo(timezone)).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    if window == "month_before":
        first = (first - timedelta(days=1)).replace(day=1, hour=0)
    after = (first + timedelta(days=32)).replace(day=1, hour=0)
    return Period(first.astimezone(UTC), after.astimezone(UTC))


def _moment(given: Mapping[str, str], name: str, timezone: str) -> datetime:
    try:
        moment = datetime.fromisoformat(given.get(name, ""))
    except ValueError as error:
        raise QueryRefused("Give the window's start and end, for example 2026-09-01T00:00.") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))).astimezone(UTC)
