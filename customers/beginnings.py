"""What apps above do with a subscription that the API begins: billing applies its coupons and taxes."""

from datetime import datetime
from typing import Any, Protocol

from customers.models import Subscription


class Beginning(Protocol):
    """Does its part with a new subscription and the body that was asked for, in the transaction that makes it."""

    def __call__(self, subscription: Subscription, asked: dict[str, Any], *, now: datetime) -> None: ...


beginnings: list[Beginning] = []
