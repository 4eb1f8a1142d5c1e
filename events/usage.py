"""Usage of features by customers: read from the hourly buckets, with the hours at a window's edges read from the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True)
class UsageRequest:
    """Ask for one feature's usage by one customer in [start, end). A cumulative feature counts from the beginning."""

    customer_id: int
    feature_id: int
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Quantity:
    """What was used: the aggregated value, and which events it came from (how many, and their ids' checksum)."""

    value: Decimal
    events: int
    checksum: int


def usage_many(requests: Sequence[UsageRequest]) -> list[Quantity]:
    """Work out many usages with a fixed number of queries, in the order asked."""
    raise NotImplementedError
