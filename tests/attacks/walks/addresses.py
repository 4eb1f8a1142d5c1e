"""Every address of the admin, from the URL resolver, with the ids of rows that exist."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.urls import get_resolver

from billing.models import BankEntry, BillingRun, CreditNote, Invoice, InvoiceLine, ProofRun
from catalog.models import Feature, Price
from customers.models import Customer, Subscription

# Settings that are one page, also before their row is saved.
SETTINGS = {"billing_companyprofile", "billing_latepolicy", "config_signinrules"}
NAMED: dict[str, type[Model]] = {
    "bank_entry_id": BankEntry,
    "customer_id": Customer,
    "feature_id": Feature,
    "invoice_id": Invoice,
    "line_id": InvoiceLine,
    "note_id": CreditNote,
    "price_id": Price,
    "run_id": BillingRun,
    "subscription_id": Subscription,
}
WORDS = {"change": "cancel", "content_type_id": "1", "object_id": "1", "pk": "1", "provider_id": "company"}
NOWHERE = "no_such_page"


@dataclass(frozen=True)
class Address:
    """An address of the admin with its paths: one for a row in each state. `table` is "" if it belongs to none."""

    name: str
    table: str = ""
    paths: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Return what follows the table's name: "changelist", "add", "void_one"."""
        return self.name.removeprefix(f"{self.table}_")


def list_addresses() -> list[Address]:
    """List every address below /admin/."""
    addresses: dict[str, Address] = {}
    for route, name in _list_routes(get_resolver().url_patterns):
        if route.startswith("admin/") and name not in addresses:
            address = _make_address(route, name)
            addresses[address.name] = address
    return list(addresses.values())


def _list_routes(patterns: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if hasattr(pattern, "url_patterns"):
            yield from _list_routes(pattern.url_patterns, route)
        else:
            yield route, pattern.name or ""


def _make_address(route: str, name: str) -> Address:
    if name == "app_list":
        return Address(name, paths=["/admin/billing/", "/admin/config/"])
    if "(?P<url>" in route:
        return Address(NOWHERE, paths=["/admin/no/such/page/"])
    table = _find_table(route, name)
    return Address(name or f"{table}_old_link", table, list(dict.fromkeys(_fill(route, table))))


def _find_table(route: str, name: str) -> str:
    tables = [_name(model) for model in admin.site._registry]
    if not name:
        return "_".join(route.split("/")[1:3])
    return next((table for table in tables if name.startswith(f"{table}_")), "")


def _fill(route: str, table: str) -> Iterator[str]:
    """Yield the paths of a route, one for each row of the parameter that has most of them."""
    parameters = re.findall(r"<(?:\w+:)?(\w+)>", route)
    values = {name: _list_values(name, table) for name in parameters}
    for place in range(max((len(rows) for rows in values.values()), default=1)):
        path = route
        for name, rows in values.items():
            path = re.sub(rf"<(?:\w+:)?{name}>", rows[min(place, len(rows) - 1)], path)
        yield f"/{path}"


def _list_values(parameter: str, table: str) -> list[str]:
    if table and table not in SETTINGS:
        return list_rows(next(model for model in admin.site._registry if _name(model) == table))
    if parameter == "public_id":
        return list(ProofRun.objects.values_list("public_id", flat=True))
    return list_rows(NAMED[parameter]) if parameter in NAMED else [WORDS[parameter]]


def _name(model: type[Model]) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}"


def list_rows(model: type[Model]) -> list[str]:
    """List the first row in each state of the table, and the last row."""
    rows = model._default_manager.order_by("pk")
    names = {column.name for column in model._meta.get_fields()}
    state = next((name for name in ("state", "status", "kind") if name in names), "pk")
    firsts: dict[Any, str] = {}
    for key, value in rows.values_list("pk", state)[:5000]:
        firsts.setdefault("" if state == "pk" else value, str(key))
    return list(dict.fromkeys([*firsts.values(), *(str(row.pk) for row in rows.reverse()[:1])]))
