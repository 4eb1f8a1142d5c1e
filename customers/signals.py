"""Signals about customers and subscriptions, sent after the commit, and hooks for subscriptions' starts and changes.

Every signal carries `by`: the user who made the change, or None.
"""

from datetime import datetime
from typing import Any, Protocol

from django.dispatch import Signal

from customers.models import Customer, Subscription

customer_created = Signal()
"""`customer`: a new customer. Events with its external id may be waiting."""

customer_activated = Signal()
"""`customer`: was archived and is billed again."""

external_id_mapped = Signal()
"""`alias`: a CustomerAlias that was created or changed."""

subscription_changed = Signal()
"""`subscription`: was created, changed, canceled, paused or resumed. Its phases are up to date."""


class StartHook(Protocol):
    """Complete a new subscription from the body of the API request, in the transaction that creates it."""

    def __call__(self, subscription: Subscription, body: dict[str, Any], /, *, now: datetime) -> None: ...


class InvoiceStartHook(Protocol):
    """Invoice what a new subscription owes at its start, after it is committed."""

    def __call__(self, subscription: Subscription, /, *, now: datetime) -> None: ...


class InvoiceChangeHook(Protocol):
    """Invoice what a change that takes effect at `at` leaves to pay, in the transaction of the change."""

    def __call__(self, subscription: Subscription, /, *, at: datetime, now: datetime) -> None: ...


class WarningHook(Protocol):
    """List what staff should know about a subscription's charges, as the API answers it."""

    def __call__(self, subscription: Subscription, /, *, now: datetime) -> list[dict[str, Any]]: ...


start_hooks: list[StartHook] = []
warning_hooks: list[WarningHook] = []
invoice_start_hooks: list[InvoiceStartHook] = []
invoice_change_hooks: list[InvoiceChangeHook] = []


def list_warnings(subscription: Subscription, *, now: datetime) -> list[dict[str, Any]]:
    """List what staff should know about a subscription's charges: each has a `message`."""
    return [warning for hook in warning_hooks for warning in hook(subscription, now=now)]


def invoice_start(subscription: Subscription, *, now: datetime) -> None:
    """Have what a new subscription owes at its start invoiced at once. Call it after the commit. Safe to repeat."""
    for hook in invoice_start_hooks:
        hook(subscription, now=now)


def invoice_change(subscription: Subscription, *, at: datetime, now: datetime) -> None:
    """Have what a change leaves to pay invoiced when it takes effect. Call it in the change's transaction."""
    for hook in invoice_change_hooks:
        hook(subscription, at=at, now=now)


class CustomerHook(Protocol):
    """Complete a new customer from the body of the API request, in the transaction that creates it."""

    def __call__(self, customer: Customer, body: dict[str, Any], /) -> None: ...


customer_hooks: list[CustomerHook] = []
