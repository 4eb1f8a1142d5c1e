"""What clients of the API call things, and what we call them. The one place of the customers' translations."""

import re

from customers.models import Alignment

CYCLES = {"anniversary": Alignment.ANNIVERSARY, "calendar": Alignment.CALENDAR}
PRORATIONS = {"create_prorations": True, "none": False}
CANCELLATIONS = ("immediate", "end_of_period", "scheduled_date")
PAYMENT_TERMS = re.compile(r"(\d{1,3}) NET")


def net_days_of(terms: str) -> int | None:
    """Read `30 NET` as 30 days; None for what isn't written so."""
    found = PAYMENT_TERMS.fullmatch(terms)
    return int(found[1]) if found else None
