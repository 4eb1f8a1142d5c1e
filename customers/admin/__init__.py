"""Customers and subscriptions in the admin.

Higher apps add their own tabs and actions to these pages:

    add_customer_tab(InvoicesInline)  # an Unfold inline with `tab = True`
    add_customer_action("statement", open_statement)  # a function decorated with Unfold's `action`
    set_customer_overview(overview)  # what the page shows instead of the form
"""

from collections.abc import Callable
from typing import Any

from unfold.admin import StackedInline, TabularInline

from customers.admin import aliases, customers
from customers.admin.customers import LAST, MENU, NOTICES, OVERVIEW, CustomerAdmin, Notice, Overview
from customers.admin.subscriptions.subscription_admin import SubscriptionAdmin

__all__ = [
    "add_customer_action",
    "add_customer_notice",
    "add_customer_tab",
    "add_subscription_tab",
    "aliases",
    "customers",
    "set_customer_overview",
]

Tab = type[TabularInline] | type[StackedInline]


def add_customer_tab(inline: Tab) -> None:
    """Show an inline of another app on the pages of customers. A repeated call changes nothing."""
    if inline not in CustomerAdmin.inlines:
        CustomerAdmin.inlines = (*CustomerAdmin.inlines, inline)


def add_customer_action(name: str, act: Callable[..., Any], allowed: Callable[..., bool] | None = None) -> None:
    """Add an action of another app to the menu of customers' pages: (admin, request, object_id) → response.

    `allowed` checks the permission with the action's name: (admin, request, object_id) → bool.
    """
    setattr(CustomerAdmin, name, act)
    if allowed is not None:
        setattr(CustomerAdmin, f"has_{name}_permission", allowed)
    if name not in MENU:
        MENU.insert(-len(LAST), name)


def set_customer_overview(overview: Overview) -> None:
    """Show an overview on the pages of customers: a function of the request and the customer to the page's context.

    Its `overview_template` is the template. The form moves to the page's Edit button.
    """
    OVERVIEW[:] = [overview]


def add_customer_notice(notice: Notice) -> None:
    """Show a text with a link above customers' pages: (request, customer) → (text, URL) or `None`.

    A repeated call changes nothing.
    """
    if notice not in NOTICES:
        NOTICES.append(notice)


def add_subscription_tab(inline: Tab) -> None:
    """Show an inline of another app on the pages of subscriptions. A repeated call changes nothing."""
    if inline not in SubscriptionAdmin.inlines:
        SubscriptionAdmin.inlines = (*SubscriptionAdmin.inlines, inline)
