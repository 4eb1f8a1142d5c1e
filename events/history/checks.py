"""Checks of a deployment that seals events: `manage.py check --deploy`, and `migrate`."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004  Django's name
from django.db import DEFAULT_DB_ALIAS, connection

from catalog.models import IntervalUnit, Price
from catalog.models.plans import PlanState
from catalog.models.prices import PriceKind
from events.history.stores import StoreFailed, get_store, is_on
from events.models import SealedPart

DAYS = {
    IntervalUnit.DAY: 1,
    IntervalUnit.WEEK: 7,
    IntervalUnit.MONTH: 31,
    IntervalUnit.QUARTER: 92,
    IntervalUnit.HALF_YEAR: 184,
    IntervalUnit.YEAR: 366,
}
HERE = ("", "localhost", "127.0.0.1", "::1")


@register(Tags.security, deploy=True)
def check_store(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warn if the store can't be reached, or is a folder that other machines may not have."""
    if not is_on():
        return []
    warnings: list[CheckMessage] = []
    try:
        get_store().check()
    except StoreFailed as error:
        hint = "Events stay in the database until EVENT_HISTORY can be written. Sealed events can't be read."
        warnings.append(Warning(str(error), hint=hint, id="events.W001"))
    if urlsplit(settings.EVENT_HISTORY).scheme == "file" and connection.settings_dict["HOST"] not in HERE:
        warnings.append(
            Warning(
                "EVENT_HISTORY is a folder, and the database is on another machine.",
                hint="Web and workers need the same folder on all machines, such as a network drive. Or use a bucket.",
                id="events.W002",
            )
        )
    return warnings


@register(Tags.database)
def check_days(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn if events are sealed before the longest period is over in which a plan bills usage."""
    if not is_on() or DEFAULT_DB_ALIAS not in (databases or ()) or not _has_tables():
        return []
    longest = _longest_interval()
    if longest <= settings.SEAL_AFTER_DAYS:
        return []
    return [
        Warning(
            f"SEAL_AFTER_DAYS is {settings.SEAL_AFTER_DAYS}, and a plan bills usage every {longest} days.",
            hint="Usage and invoices are right, but events of open periods are read from the store, which is slower.",
            id="events.W003",
        )
    ]


def _has_tables() -> bool:
    return SealedPart._meta.db_table in connection.introspection.table_names()


def _longest_interval() -> int:
    prices = Price.objects.filter(kind=PriceKind.USAGE).exclude(version__plan__state=PlanState.ARCHIVED)
    terms = prices.order_by().values_list("interval", "interval_count").distinct()
    return max((DAYS[IntervalUnit(interval)] * count for interval, count in terms), default=0)
