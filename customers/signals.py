"""Signals about customers and subscriptions, sent after the commit, and hooks that run when a subscription starts.

Every signal carries `by`: the user who made the change, or None.
"""

from datetime import datetime
from typing import Any, Protocol

from django.dispatch import Signal

from customers.models import Subscription

customer_created = Signal()
"""`customer`: a new customer. Events with its external id may be waiting."""

customer_activated = Signal()
"""`customer`: was archived and is billed again."""

external_id_mapped = Signal()
"""`alias`: a CustomerAlias that was created or changed."""

subscription_changed = Signal()
"""`subscription`: was created, changed, cancelled, paused or resumed. Its phases are up to date."""


class StartHook(Protocol):
    """Complete a new subscription from the body of the API request, in the transaction that creates it."""

    def __call__(self, subscription: Subscription, body: dict[str, Any], /, *, now: datetime) -> None: ...


start_hooks: list[StartHook] = []
