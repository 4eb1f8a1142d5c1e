"""Customers and subscriptions in the admin.

Apps above add their own tabs to these pages, from their `admin.py`:

    from customers.admin import add_customer_tab, add_subscription_tab

    add_customer_tab(InvoicesInline)       # an Unfold inline with `tab = True`
    add_customer_action("statement", open_statement)     # a function decorated with Unfold's `action`
"""

from collections.abc import Callable
from typing import Any

from unfold.admin import StackedInline, TabularInline

from customers.admin import aliases, customers, subscriptions
from customers.admin.customers import LAST, MENU, CustomerAdmin
from customers.admin.subscriptions import SubscriptionAdmin

__all__ = ["add_customer_action", "add_customer_tab", "add_subscription_tab", "aliases", "customers", "subscriptions"]

Tab = type[TabularInline] | type[StackedInline]


def add_customer_tab(inline: Tab) -> None:
    """Show an inline of another app on every customer's page. A second call with the same one changes nothing."""
    if inline not in CustomerAdmin.inlines:
        CustomerAdmin.inlines = (*CustomerAdmin.inlines, inline)


def add_customer_action(name: str, act: Callable[..., Any], allowed: Callable[..., bool] | None = None) -> None:
    """Offer an action of another app in the menu of every customer's page: (admin, request, object_id) → response.

    `allowed` says who may: (admin, request, object_id) → bool, for the action's permission of its own name.
    """
    setattr(CustomerAdmin, name, act)
    if allowed is not None:
        setattr(CustomerAdmin, f"has_{name}_permission", allowed)
    if name not in MENU:
        MENU.insert(-len(LAST), name)


def add_subscription_tab(inline: Tab) -> None:
    """Show an inline of another app on every subscription's page. A second call changes nothing."""
    if inline not in SubscriptionAdmin.inlines:
        SubscriptionAdmin.inlines = (*SubscriptionAdmin.inlines, inline)
