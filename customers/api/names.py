"""The API's names for values of customers and subscriptions."""

import re
from enum import StrEnum

from customers.models import Alignment

CYCLES = {"anniversary": Alignment.ANNIVERSARY, "calendar": Alignment.CALENDAR}
PRORATIONS = {"create_prorations": True, "none": False}
CANCELLATIONS = ("immediate", "end_of_period", "scheduled_date")
PAYMENT_TERMS = re.compile(r"(\d{1,3}) NET")


class PauseMode(StrEnum):
    """When a pause starts."""

    IMMEDIATE = "immediate"
    SCHEDULED = "scheduled"
    PERIOD_END = "period_end"


def net_days_of(terms: str) -> int | None:
    """Read `30 NET` as 30 days. None if the terms are written differently."""
    match = PAYMENT_TERMS.fullmatch(terms)
    return int(match[1]) if match else None
