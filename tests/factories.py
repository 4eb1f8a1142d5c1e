"""Factories for rows, in the order of the apps. Every value has a default, so that a test names only what it is about.

They call the domain functions where these exist, so that they create the same rows as the product.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from django.contrib.auth.models import User

from catalog.models import Addon, Entitlement, Feature, Plan, PlanVersion, Price, PriceTier
from catalog.models.features import FeatureKind
from catalog.models.prices import PriceKind, PriceModel
from catalog.publishing import get_or_create_draft, publish
from customers.models import Customer, Subscription
from customers.subscriptions import subscribe

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)

_numbers = count(1)


def make_user(**values: Any) -> User:
    """Make a staff user without any permission."""
    username = values.pop("username", f"user-{next(_numbers)}")
    return User.objects.create_user(username, **{"is_staff": True} | values)


# --- catalog -----------------------------------------------------------------------------------------


def make_feature(**values: Any) -> Feature:
    """Make a metered feature, which by default counts `api.calls`, or sums the `field` if there is one."""
    defaults: dict[str, Any] = {"name": f"Feature {next(_numbers)}"}
    if values.get("kind", FeatureKind.METERED) == FeatureKind.METERED:
        defaults |= {"event_name": "api.calls", "aggregation": "sum" if values.get("field") else "count"}
    return Feature.objects.create(**defaults | values)


def make_plan(*, published: bool = True, now: datetime = NOW, **values: Any) -> Plan:
    """Make a plan with one version: $10 a month, published. Give prices with `make_price` before `publish_draft`."""
    plan = Plan.objects.create(**{"name": f"Plan {next(_numbers)}"} | values)
    draft = get_or_create_draft(plan, by=None)
    if published:
        make_fee(version=draft)
        publish(draft, now=now, by=None)
    return plan


def make_draft(plan: Plan | None = None) -> PlanVersion:
    """Return a plan's draft version, created if necessary. The default plan is new and has no published version."""
    return get_or_create_draft(plan or make_plan(published=False), by=None)


def make_version(
    *prices: dict[str, Any], free_units: dict[Feature, Any] | None = None, now: datetime = NOW, **plan: Any
) -> PlanVersion:
    """Make a plan whose published version has these prices, each the arguments of `make_price`, and free tiers."""
    draft = make_draft(make_plan(published=False, **plan))
    for price in prices:
        make_price(version=draft, **price)
    for feature, units in (free_units or {}).items():
        make_entitlement(version=draft, feature=feature, free_units=units)
    return publish(draft, now=now, by=None)


def make_addon(
    *prices: dict[str, Any], free_units: dict[Feature, Any] | None = None, now: datetime = NOW, **values: Any
) -> PlanVersion:
    """Make an add-on whose published version has these prices, each the arguments of `make_price`, and free tiers."""
    plans = values.pop("compatible_plans", ())
    addon = Addon.objects.create(**{"name": f"Add-on {next(_numbers)}"} | values)
    addon.compatible_plans.set(plans)
    draft = get_or_create_draft(addon, by=None)
    for price in prices:
        make_price(version=draft, **price)
    for feature, units in (free_units or {}).items():
        make_entitlement(version=draft, feature=feature, free_units=units)
    return publish(draft, now=now, by=None)


def make_price(
    *, version: PlanVersion, tiers: Iterable[tuple[Any, Any] | tuple[Any, Any, Any]] = (), **values: Any
) -> Price:
    """Make a usage price: $0.01 a unit, monthly. `tiers` are (up_to, unit_amount[, flat_amount]), None for no limit."""
    model = values.get("model", PriceModel.PER_UNIT)
    defaults: dict[str, Any] = {"currency": "USD", "kind": PriceKind.USAGE}
    if model in (PriceModel.PER_UNIT, PriceModel.PACKAGE, PriceModel.FLAT):
        defaults["unit_amount"] = Decimal("0.01")
    if values.get("kind", PriceKind.USAGE) == PriceKind.USAGE and "feature" not in values:
        values["feature"] = make_feature()
    price = Price.objects.create(**defaults | {"version": version} | values)
    for up_to, unit_amount, *flat in tiers:
        PriceTier.objects.create(
            price=price, up_to=up_to, unit_amount=unit_amount, flat_amount=flat[0] if flat else Decimal(0)
        )
    return price


def make_fee(*, version: PlanVersion, **values: Any) -> Price:
    """Make a recurring fee: $10 a month in advance."""
    defaults = {
        "currency": "USD",
        "kind": PriceKind.FIXED,
        "model": PriceModel.FLAT,
        "cadence": "advance",
        "unit_amount": Decimal(10),
    }
    return Price.objects.create(**defaults | {"version": version} | values)


def make_entitlement(*, version: PlanVersion, **values: Any) -> Entitlement:
    """Make a free tier of 1,000 units each billing period."""
    if "feature" not in values:
        values["feature"] = make_feature()
    return Entitlement.objects.create(**{"free_units": Decimal(1000)} | {"version": version} | values)


# --- customers ---------------------------------------------------------------------------------------


def make_customer(**values: Any) -> Customer:
    """Make an active customer in UTC."""
    number = next(_numbers)
    return Customer.objects.create(**{"external_id": f"customer-{number}", "name": f"Customer {number}"} | values)


def make_subscription(**values: Any) -> Subscription:
    """Subscribe a new customer to a new $10 plan, monthly from 1 January 2026 on, without a trial."""
    customer = values.pop("customer", None) or make_customer()
    plan = values.pop("plan", None) or make_plan()
    defaults: dict[str, Any] = {
        "currency": "USD",
        "interval": "month",
        "starts_at": START,
        "now": values.get("starts_at", START),
        "by": None,
    }
    return subscribe(customer, plan, **defaults | values)
