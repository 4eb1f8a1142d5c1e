"""Agreed terms and add-ons in requests: translated into edits of the terms in force, and orders."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from rest_framework import serializers

from catalog.agreed import PriceEdit, PriceRemoval, TermsEdit
from catalog.api.addons import addon_of
from catalog.api.bodies.agreed import addition_of, free_tier_edit, price_edits
from catalog.api.bodies.prices import price_terms
from catalog.api.names import PERIODS
from catalog.by_value import get_variant
from catalog.models import Entitlement, Feature, IntervalUnit, Plan, PlanVersion, Price
from catalog.models.prices import Every, PriceKind
from catalog.publishing import get_published_version
from catalog.selectors import Terms, prices_of
from config.api.errors import invalid
from customers.api.bodies import PERIOD_END
from customers.models import Subscription
from customers.subscriptions import AddonOrder, agree_terms
from customers.subscriptions.terms import check_approval_at_start

type Body = Mapping[str, Any]


def terms_of_body(body: Body, version: PlanVersion, terms: Terms) -> list[TermsEdit]:
    """Return the edits that a new subscription starts with."""
    edits = _kept_prices(body, version)
    edits += overrides_of(body, version)
    edits += _each(body, "override_entitlements", partial(_entitlement_edits, version))
    return edits + _commitments_of(body, version) + additions_of(body, version, terms)


def addon_edits(body: Body, addon: Plan, *, now: datetime) -> list[TermsEdit]:
    """Return what is agreed instead of the prices of an add-on that is added."""
    if not (body.get("override_line_items") or body.get("line_item_commitments")):
        return []
    version = get_published_version(addon, now=now, by=None)
    return overrides_of(body, version) + _commitments_of(body, version)


def _commitments_of(body: Body, version: PlanVersion) -> list[TermsEdit]:
    edits: list[TermsEdit] = []
    for price_id, commitment in (body.get("line_item_commitments") or {}).items():
        row = {**commitment, "price_id": price_id}
        edits += _at_place(f"line_item_commitments.{price_id}", partial(_override_edits, version, row))
    return edits


def overrides_of(body: Body, version: PlanVersion) -> list[TermsEdit]:
    """Return the edits of `override_line_items`."""
    return _each(body, "override_line_items", partial(_override_edits, version))


def additions_of(body: Body, version: PlanVersion, terms: Terms) -> list[TermsEdit]:
    """Return the edits of `line_items`."""
    return _each(body, "line_items", partial(added_edits, version, terms))


def _override_edits(version: PlanVersion, row: Body) -> list[TermsEdit]:
    return price_edits(_price(row["price_id"], version), row)


def _entitlement_edits(version: PlanVersion, row: Body) -> list[TermsEdit]:
    return [free_tier_edit(_entitlement(row, version), row)]


def added_edits(version: PlanVersion, terms: Terms, row: Body) -> list[TermsEdit]:
    """Return the edits that add a price: a new one, or one of the plan that isn't charged."""
    limits = {name: row[name] for name in ("minimum_amount", "minimum_quantity", "quantity") if name in row}
    if not row.get("price"):
        price = _price(row["price_id"], version)
        interval = _interval_columns(terms, price.every, is_fee=price.kind == PriceKind.FIXED, field="price_id")
        return [PriceEdit(price, interval), *price_edits(price, limits)]
    body = row["price"]
    feature = None
    if body["type"] == "USAGE":
        feature = Feature.objects.metered().filter(public_id=body["meter_id"]).first()
        if feature is None:
            raise serializers.ValidationError({"price.meter_id": f"There is no meter “{body['meter_id']}”."})
        for name, values in (body.get("filter_values") or {}).items():
            feature = get_variant(feature, name, values, by=None)
    every = Every(PERIODS[body["billing_period"]], body["billing_period_count"])
    is_fee = body["type"] == "FIXED"
    interval = _interval_columns(terms, every, is_fee=is_fee, field="price.billing_period")
    added = price_terms({**body, "currency": terms.currency}, feature)
    columns = {
        **added.columns,
        **interval,
        **{name: value for name, value in limits.items() if name != "quantity"},
    }
    return [addition_of(columns, added.tiers, limits.get("quantity"))]


def _interval_columns(terms: Terms, every: Every, *, is_fee: bool, field: str) -> dict[str, Any]:
    """Return the columns of a price that is charged every so often to a subscription on these terms.

    Usage is charged every billing period, a fee can cover several.
    """
    periods = Every(IntervalUnit(terms.interval), terms.interval_count).times_in(every)
    if periods is None or (periods > 1 and not is_fee):
        raise serializers.ValidationError(
            {field: "It must have the subscription's billing period. A FIXED price can also cover several of them."}
        )
    return {"interval": terms.interval, "interval_count": terms.interval_count, "periods": periods}


def terms_of(subscription: Subscription) -> Terms:
    """Return the currency and billing interval of a subscription."""
    return Terms(subscription.currency, subscription.interval, subscription.interval_count)


def agree_phases(subscription: Subscription, body: Body, version: PlanVersion, *, now: datetime, reason: str) -> None:
    """Agree the terms of each of a new subscription's phases, from its start to its end."""
    terms = terms_of(subscription)
    for index, phase in enumerate(body.get("phases") or []):
        edits = overrides_of(phase, version) + additions_of(phase, version, terms)
        if not edits:
            continue
        at = phase["start_date"]
        if at < subscription.started_at:
            raise invalid({f"phases[{index}].start_date": ["A phase can't start before the subscription."]})
        check_approval_at_start(subscription, edits, by=None)
        agree_terms(subscription, edits, at=at, until=phase.get("end_date"), now=now, by=None, reason=reason)


def orders_of(body: Body, starts_at: datetime, *, now: datetime) -> list[AddonOrder]:
    """Return the add-ons of a new subscription's body, from its start on by default."""
    orders = []
    for index, row in enumerate(body.get("addons") or []):
        at = row.get("start_date") or starts_at
        if row.get("change_at") == PERIOD_END:
            raise invalid({f"addons[{index}].change_at": ["Use start_date in a new subscription."]})
        if at < starts_at:
            raise invalid({f"addons[{index}].start_date": ["An add-on can't start before the subscription."]})
        addon = addon_of(row["addon_id"])
        edits = addon_edits(row, addon, now=now)
        orders.append(AddonOrder(addon, at, row.get("end_date"), row.get("metadata") or {}, edits))
    return orders


def _kept_prices(body: Body, version: PlanVersion) -> list[TermsEdit]:
    """Return the removals of the prices that `include_price_ids` leaves out."""
    kept = body.get("include_price_ids")
    if not kept:
        return []
    for price_id in kept:
        _price(price_id, version, "include_price_ids")
    return [PriceRemoval(price) for price in prices_of(version).exclude(public_id__in=kept)]


def _price(price_id: str, version: PlanVersion, field: str = "price_id") -> Price:
    """Return a price of a version, named by its own id or by that of the list price which it replaces."""
    prices = list(prices_of(version).select_related("feature", "listed"))
    if version.base is not None:
        prices += prices_of(version.base).select_related("feature", "listed")
    for price in prices:
        if price_id in (price.public_id, price.listed.public_id if price.listed else None):
            return price
    raise serializers.ValidationError({field: f"{version} has no price “{price_id}”."})


def _entitlement(row: Body, version: PlanVersion) -> Entitlement:
    rows = Entitlement.objects.filter(version__in=[version.pk, version.list_id]).select_related("feature")
    entitlement = rows.filter(public_id=row["entitlement_id"]).first()
    if entitlement is None:
        raise serializers.ValidationError(
            {"entitlement_id": f"{version} has no entitlement “{row['entitlement_id']}”."}
        )
    return entitlement


def _each(body: Body, name: str, translate: Callable[[Body], Iterable[TermsEdit]]) -> list[TermsEdit]:
    return [
        edit
        for index, row in enumerate(body.get(name) or [])
        for edit in _at_place(f"{name}[{index}]", partial(translate, row))
    ]


def _at_place(place: str, translate: Callable[[], Iterable[TermsEdit]]) -> Iterable[TermsEdit]:
    """Translate a part of a body; an error names where it is."""
    try:
        return translate()
    except serializers.ValidationError as error:
        reasons: dict[str, Any] = error.detail if isinstance(error.detail, dict) else {"": error.detail}
        raise invalid({f"{place}.{name}": reason for name, reason in reasons.items()}) from error
