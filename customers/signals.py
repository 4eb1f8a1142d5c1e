"""What the customers app tells the apps above it, after the commit. Every signal carries `by`, who did it, or None."""

from datetime import datetime
from typing import Any, Protocol

from django.dispatch import Signal

from customers.models import Subscription

customer_created = Signal()
"""`customer`: events of its external id may be waiting."""

customer_activated = Signal()
"""`customer`: was archived, is billed again."""

external_id_mapped = Signal()
"""`alias`: a CustomerAlias that was made or pointed elsewhere."""

subscription_changed = Signal()
"""`subscription`: was made, moved, cancelled, paused or resumed; its phases say how it stands."""


class StartHook(Protocol):
    """Does its part with a new subscription and the body that was asked for, in the transaction that makes it."""

    def __call__(self, subscription: Subscription, asked: dict[str, Any], *, now: datetime) -> None: ...


start_hooks: list[StartHook] = []
