"""API views for prices and entitlements. Changes are made in the plan's draft; published versions don't change."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.bodies.entitlements import EntitlementChange, EntitlementIn, EntitlementsIn, entitlement_columns
from catalog.api.bodies.prices import (
    PriceChange,
    PriceIn,
    PriceRemoval,
    PricesIn,
    price_change_terms,
    price_terms,
    refuse_unused,
)
from catalog.api.filters import EntitlementFilter, PriceFilter
from catalog.api.names import PRICE_KINDS
from catalog.api.plans import offer_of
from catalog.api.serializers.entitlements import EntitlementOut, Entitlements
from catalog.api.serializers.prices import PriceOut, Prices
from catalog.drafting import (
    AlreadyGranted,
    KeyIsTaken,
    add_entitlement,
    add_price,
    change_entitlement,
    change_price,
    get_newest_versions,
    remove_entitlement,
    remove_price,
)
from catalog.models import Entitlement, Feature, Price
from catalog.models.prices import PriceKind
from config.api.errors import AlreadyExists, invalid
from config.api.filters import page
from config.api.openapi import Message, listed, operation, search_body
from config.api.views import ApiView, get_or_404, read_body

TAG = "Prices"
RULES_OF_MODELS = (
    "A FIXED price is a FLAT_FEE (`billing_model`) with an `amount`; a USAGE price has the `meter_id` of a feature and "
    "the `invoice_cadence` ARREAR. A TIERED price requires a `tier_mode`. The plan (`entity_id`) must exist. "
    "Only a FIXED price has a `subscription_billing_period`, of which its `billing_period` is a multiple."
)
RULES_OF_FIELDS = (
    "Only a TIERED price has `tiers` and a `tier_mode`, and it has no `amount`; `tiers` are in the order of `up_to`, "
    "which the last leaves null. Only a PACKAGE price has a `transform_quantity`, only a USAGE price a `meter_id`, "
    "`filter_values`, a `minimum_amount`, a `minimum_quantity` and a `maximum_amount`, and only a FIXED price a "
    "`min_quantity`, `quantity_minimum`, `quantity_maximum` and `trial_period_days`. Only a PERCENTAGE price has "
    "`rate_percent`, `free_amount`, `free_events`, `fixed_amount_per_event`, `per_event_minimum` and "
    "`per_event_maximum`, and it has no `amount` and no `minimum_quantity`. Tiers have either a `unit_amount` or a "
    "`rate_percent`."
)
GRANTS = "Entitlements"
WRITE = "catalog:write"
PRICE_LIST, GRANT_LIST = listed("PriceList", PriceOut), listed("EntitlementList", EntitlementOut)
PRICE: dict[str, Any] = {
    "entity_type": "PLAN",
    "entity_id": "plan_1",
    "type": "USAGE",
    "meter_id": "feat_1",
    "billing_model": "FLAT_FEE",
    "billing_period": "MONTHLY",
    "billing_period_count": 1,
    "invoice_cadence": "ARREAR",
    "price_unit_type": "FIAT",
    "currency": "USD",
    "amount": "0.0025",
}
GRANT: dict[str, Any] = {
    "plan_id": "plan_1",
    "feature_id": "feat_1",
    "feature_type": "metered",
    "usage_limit": 1000,
    "usage_reset_period": "MONTHLY",
}


class DraftView(ApiView):
    write_scope = WRITE

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, (KeyIsTaken, AlreadyGranted)):
            exc = AlreadyExists(str(exc))
        return super().handle_exception(exc)


def prices() -> QuerySet[Price]:
    return Price.objects.select_related("feature", "listed", "version__plan").prefetch_related("tiers")


def current_prices() -> QuerySet[Price]:
    """Return the prices of each plan's newest version, draft or published."""
    return prices().filter(version__in=get_newest_versions().values("pk")).order_by("-pk")


def price_of(price_id: str) -> Price:
    return get_or_404(prices(), "price", public_id=price_id)


def _add_price(body: dict[str, Any]) -> Price:
    feature = None
    if PRICE_KINDS[body["type"]] == PriceKind.USAGE:
        feature = Feature.objects.metered().filter(public_id=body["meter_id"]).first()
        if feature is None:
            raise invalid({"meter_id": [f"There is no meter “{body['meter_id']}”."]})
    return add_price(offer_of(body), price_terms(body, feature), body.get("filter_values") or {})


class PriceCollection(DraftView):
    """Add a price to a plan's draft, or list the prices of the newest plan versions."""

    @operation("listPrices", "List prices", tag=TAG, answers={200: PRICE_LIST}, filters=PriceFilter)
    def get(self, request: Request) -> Response:
        return page(request, current_prices(), PriceFilter, PriceOut)

    @operation(
        "createPrice",
        "Create a price",
        refusals=f"{RULES_OF_MODELS} {RULES_OF_FIELDS}",
        tag=TAG,
        body=PriceIn,
        answers={201: PriceOut},
        errors=(400, 404, 409),
        example=PRICE,
    )
    def post(self, request: Request) -> Response:
        return Response(PriceOut(_add_price(read_body(request, PriceIn))).data, status=201)


class PriceBulk(DraftView):
    """Add up to 100 prices. All are created, or none."""

    @operation(
        "createPricesBulk",
        "Create prices",
        refusals=f"{RULES_OF_MODELS} {RULES_OF_FIELDS}",
        tag=TAG,
        body=PricesIn,
        answers={201: Prices},
        errors=(400, 404, 409),
        example={"items": [PRICE]},
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, PricesIn)
        with transaction.atomic():
            created = [_add_price(item) for item in body["items"]]
        return Response({"items": PriceOut(created, many=True).data}, status=201)


class PriceSearch(ApiView):
    """Search prices."""

    is_reading = True

    @operation("queryPrice", "Search prices", tag=TAG, body=search_body(PriceFilter), answers={200: PRICE_LIST})
    def post(self, request: Request) -> Response:
        return page(request, current_prices(), PriceFilter, PriceOut)


class PriceByKey(ApiView):
    """Retrieve the newest price with a lookup key."""

    @operation("getPriceByLookupKey", "Retrieve a price by lookup key", tag=TAG, answers={200: PriceOut}, errors=(404,))
    def get(self, request: Request, key: str) -> Response:
        return Response(PriceOut(get_or_404(prices().order_by("-pk"), "price with the key", key=key)).data)


class OnePrice(DraftView):
    """Retrieve a price of any plan version; update or delete it in the plan's draft."""

    @operation("getPrice", "Retrieve a price", tag=TAG, answers={200: PriceOut}, errors=(404,))
    def get(self, request: Request, price_id: str) -> Response:
        return Response(PriceOut(price_of(price_id)).data)

    @operation(
        "updatePrice",
        "Update a price",
        refusals=RULES_OF_FIELDS,
        tag=TAG,
        body=PriceChange,
        answers={200: PriceOut},
        errors=(400, 404, 409),
        example={"amount": "0.0030"},
        description="Updates the price in the plan's draft and returns it. Subscriptions keep their plan version.",
    )
    def put(self, request: Request, price_id: str) -> Response:
        price, body = price_of(price_id), read_body(request, PriceChange)
        refuse_unused(price, body)
        return Response(PriceOut(change_price(price, price_change_terms(body))).data)

    @operation(
        "deletePrice",
        "Delete a price",
        tag=TAG,
        body=PriceRemoval,
        answers={200: Message},
        errors=(400, 404),
        example={},
    )
    def delete(self, request: Request, price_id: str) -> Response:
        read_body(request, PriceRemoval)
        remove_price(price_of(price_id))
        return Response({"message": "Price deleted"})


def grants() -> QuerySet[Entitlement]:
    return Entitlement.objects.select_related("feature", "version__plan")


def current_grants() -> QuerySet[Entitlement]:
    return grants().filter(version__in=get_newest_versions().values("pk")).order_by("-pk")


def grant_of(entitlement_id: str) -> Entitlement:
    return get_or_404(grants(), "entitlement", public_id=entitlement_id)


def _add_entitlement(body: dict[str, Any]) -> Entitlement:
    feature = Feature.objects.filter(public_id=body["feature_id"]).first()
    if feature is None:
        raise invalid({"feature_id": [f"There is no feature “{body['feature_id']}”."]})
    if body.get("feature_type") not in (None, feature.kind):
        raise invalid({"feature_type": [f"The feature is {feature.kind}."]})
    columns = {"feature": feature} | entitlement_columns(body)
    return add_entitlement(offer_of(body), columns)


class EntitlementCollection(DraftView):
    """Add an entitlement to a plan's draft, or list the entitlements of the newest plan versions."""

    @operation(
        "listEntitlements", "List entitlements", tag=GRANTS, answers={200: GRANT_LIST}, filters=EntitlementFilter
    )
    def get(self, request: Request) -> Response:
        return page(request, current_grants(), EntitlementFilter, EntitlementOut)

    @operation(
        "createEntitlement",
        "Create an entitlement",
        refusals="`plan_id` is required, or `entity_id` with the `entity_type` PLAN or ADDON. "
        "`feature_id` must exist, and `feature_type` must be the feature's.",
        tag=GRANTS,
        body=EntitlementIn,
        answers={201: EntitlementOut},
        errors=(400, 404, 409),
        example=GRANT,
    )
    def post(self, request: Request) -> Response:
        return Response(EntitlementOut(_add_entitlement(read_body(request, EntitlementIn))).data, status=201)


class EntitlementBulk(DraftView):
    """Add up to 100 entitlements. All are created, or none."""

    @operation(
        "createEntitlementsBulk",
        "Create entitlements",
        refusals="`plan_id` is required for each item, or `entity_id` with the `entity_type` PLAN or ADDON. "
        "`feature_id` must exist, and `feature_type` must be the feature's.",
        tag=GRANTS,
        body=EntitlementsIn,
        answers={201: Entitlements},
        errors=(400, 404, 409),
        example={"items": [GRANT]},
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, EntitlementsIn)
        with transaction.atomic():
            created = [_add_entitlement(item) for item in body["items"]]
        return Response({"items": EntitlementOut(created, many=True).data}, status=201)


class EntitlementSearch(ApiView):
    """Search entitlements."""

    is_reading = True

    @operation(
        "queryEntitlement",
        "Search entitlements",
        tag=GRANTS,
        body=search_body(EntitlementFilter),
        answers={200: GRANT_LIST},
    )
    def post(self, request: Request) -> Response:
        return page(request, current_grants(), EntitlementFilter, EntitlementOut)


class OneEntitlement(DraftView):
    """Retrieve an entitlement of any plan version; update or delete it in the plan's draft."""

    @operation("getEntitlement", "Retrieve an entitlement", tag=GRANTS, answers={200: EntitlementOut}, errors=(404,))
    def get(self, request: Request, entitlement_id: str) -> Response:
        return Response(EntitlementOut(grant_of(entitlement_id)).data)

    @operation(
        "updateEntitlement",
        "Update an entitlement",
        refusals="`feature_type` must be the feature's.",
        tag=GRANTS,
        body=EntitlementChange,
        answers={200: EntitlementOut},
        errors=(400, 404),
        example={"usage_limit": 2000},
    )
    def put(self, request: Request, entitlement_id: str) -> Response:
        columns = entitlement_columns(read_body(request, EntitlementChange))
        return Response(EntitlementOut(change_entitlement(grant_of(entitlement_id), columns)).data)

    @operation("deleteEntitlement", "Delete an entitlement", tag=GRANTS, answers={200: Message}, errors=(400, 404))
    def delete(self, request: Request, entitlement_id: str) -> Response:
        remove_entitlement(grant_of(entitlement_id))
        return Response({"message": "Entitlement deleted"})
