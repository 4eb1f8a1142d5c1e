"""API views for add-ons. Their prices and entitlements have the endpoints of plans', with the entity type ADDON."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.bodies.plans import PlanIn
from catalog.api.bodies.shared import shared_columns
from catalog.api.filters import AddonFilter
from catalog.api.plans import ALL, WRITE, expansions
from catalog.api.serializers.entitlements import EntitlementOut
from catalog.api.serializers.plans import AddonOut
from catalog.api.versions import list_versions, lists_versions, open_draft, opens_draft, publish, publishes_draft
from catalog.models import Addon, Plan
from catalog.plans import activate_plan, archive_plan
from config.api.errors import invalid
from config.api.fields import TextField
from config.api.filters import Pages, apply_filters, read_expansions
from config.api.openapi import Message, listed, operation, search_body
from config.api.reasons import OptionalReasonIn, reason_in
from config.api.views import ApiView, get_or_404, read_body
from config.audit import recorded

TAG = "Add-ons"
LIST = listed("AddonList", AddonOut)


class AddonIn(PlanIn):
    """An add-on. Prices and entitlements are added to its draft, which the next subscription that adds it publishes."""

    plan_ids = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        allow_null=True,
        max_length=1000,
        help_text="The plans that the add-on can be added to. By default, all.",
    )
    maximum = serializers.IntegerField(
        min_value=1,
        max_value=2**31 - 1,
        required=False,
        allow_null=True,
        help_text="How often a subscription can have the add-on at the same time. By default, without a limit.",
    )


class AddonChange(AddonIn):
    """The fields to change; the others keep their values. Subscriptions that have the add-on keep it."""

    name = serializers.CharField(max_length=255, required=False)
    lookup_key = TextField(allow_null=True)


def addon_of(addon_id: str) -> Addon:
    return get_or_404(Addon.objects.prefetch_related("compatible_plans"), "add-on", public_id=addon_id)


def listed_addons(request: Request) -> Response:
    pages = Pages()
    rows = apply_filters(request, Addon.objects.prefetch_related("compatible_plans").order_by("-pk"), AddonFilter)
    addons = pages.paginate_queryset(rows, request) or []
    context = expansions(addons, read_expansions(request, AddonFilter))
    return pages.get_paginated_response(AddonOut(addons, many=True, context=context).data)


def _save(addon: Addon, body: dict[str, Any]) -> Addon:
    for name, value in shared_columns(body).items():
        setattr(addon, name, value)
    if "maximum" in body:
        addon.maximum = body["maximum"]
    plans = None if body.get("plan_ids") is None else _plans_of(body["plan_ids"])
    addon.full_clean()
    with recorded(by=None):
        addon.save()
        if plans is not None:
            addon.compatible_plans.set(plans)
    return addon_of(addon.public_id)


def _plans_of(plan_ids: list[str]) -> list[Plan]:
    plans = {plan.public_id: plan for plan in Plan.objects.filter(public_id__in=plan_ids)}
    for index, plan_id in enumerate(plan_ids):
        if plan_id not in plans:
            raise invalid({f"plan_ids[{index}]": [f"There is no plan “{plan_id}”."]})
    return list(plans.values())


class AddonCollection(ApiView):
    """Create or list add-ons."""

    write_scope = WRITE

    @operation("listAddons", "List add-ons", tag=TAG, answers={200: LIST}, filters=AddonFilter)
    def get(self, request: Request) -> Response:
        return listed_addons(request)

    @operation(
        "createAddon",
        "Create an add-on",
        refusals="`plan_ids` must exist.",
        tag=TAG,
        body=AddonIn,
        answers={201: AddonOut},
        errors=(400, 409),
        example={"name": "Priority support", "lookup_key": "priority_support", "maximum": 1},
        description="Prices and entitlements are added to the add-on's draft, which the next subscription that adds it "
        "publishes.",
    )
    def post(self, request: Request) -> Response:
        return Response(AddonOut(_save(Addon(), read_body(request, AddonIn))).data, status=201)


class AddonSearch(ApiView):
    """Search add-ons."""

    is_reading = True

    @operation("queryAddon", "Search add-ons", tag=TAG, body=search_body(AddonFilter), answers={200: LIST})
    def post(self, request: Request) -> Response:
        return listed_addons(request)


class AddonByKey(ApiView):
    """Retrieve an add-on by its lookup key."""

    @operation(
        "getAddonByLookupKey", "Retrieve an add-on by lookup key", tag=TAG, answers={200: AddonOut}, errors=(404,)
    )
    def get(self, request: Request, addon_key: str) -> Response:
        addon = get_or_404(Addon.objects.prefetch_related("compatible_plans"), "add-on with the key", key=addon_key)
        return Response(AddonOut(addon, context=expansions([addon], ALL)).data)


class OneAddon(ApiView):
    """Retrieve, update or archive an add-on."""

    write_scope = WRITE

    @operation("getAddon", "Retrieve an add-on", tag=TAG, answers={200: AddonOut}, errors=(404,))
    def get(self, request: Request, addon_id: str) -> Response:
        addon = addon_of(addon_id)
        return Response(AddonOut(addon, context=expansions([addon], ALL)).data)

    @operation(
        "updateAddon",
        "Update an add-on",
        refusals="`plan_ids` must exist.",
        tag=TAG,
        body=AddonChange,
        answers={200: AddonOut},
        errors=(400, 404, 409),
        example={"name": "Priority support 2026", "maximum": 2},
    )
    def put(self, request: Request, addon_id: str) -> Response:
        return Response(AddonOut(_save(addon_of(addon_id), read_body(request, AddonChange))).data)

    @operation(
        "deleteAddon",
        "Archive an add-on",
        tag=TAG,
        answers={200: Message},
        errors=(404,),
        description="An archived add-on can't be added to subscriptions anymore. Those that have it keep it.",
    )
    def delete(self, request: Request, addon_id: str) -> Response:
        archive_plan(addon_of(addon_id), now=timezone.now(), by=None, reason="Deleted through the API")
        return Response({"message": "Add-on archived"})


class AddonActivation(ApiView):
    """Activate an archived add-on: subscriptions can add it again."""

    write_scope = WRITE

    @operation(
        "activateAddon",
        "Activate an add-on",
        tag=TAG,
        body=OptionalReasonIn,
        answers={200: AddonOut},
        errors=(400, 404),
        example={"reason": "Sold again"},
    )
    def post(self, request: Request, addon_id: str) -> Response:
        addon, reason = addon_of(addon_id), reason_in(read_body(request, OptionalReasonIn))
        activate_plan(addon, by=None, reason=reason)
        return Response(AddonOut(addon).data)


class AddonEntitlements(ApiView):
    """List the entitlements of an add-on's newest version."""

    @operation(
        "getAddonEntitlements",
        "List an add-on's entitlements",
        tag=TAG,
        errors=(404,),
        answers={200: listed("AddonEntitlementList", EntitlementOut)},
    )
    def get(self, request: Request, addon_id: str) -> Response:
        addon = addon_of(addon_id)
        rows = expansions([addon], ["entitlements"])["entitlements"].get(addon.pk, [])
        pagination = {"total": len(rows), "limit": max(len(rows), 1), "offset": 0}
        return Response({"items": EntitlementOut(rows, many=True).data, "pagination": pagination})


class AddonVersions(ApiView):
    """List an add-on's versions, newest first, or open a draft."""

    write_scope = WRITE

    @lists_versions("listAddonVersions", "an add-on", tag=TAG)
    def get(self, request: Request, addon_id: str) -> Response:
        return list_versions(request, addon_of(addon_id))

    @opens_draft("createAddonVersion", "an add-on", tag=TAG)
    def post(self, request: Request, addon_id: str) -> Response:
        return open_draft(request, addon_of(addon_id))


class AddonPublication(ApiView):
    """Publish an add-on's draft: it never changes afterward. Subscriptions that have the add-on keep their version."""

    write_scope = WRITE

    @publishes_draft("publishAddon", "an add-on", tag=TAG)
    def post(self, request: Request, addon_id: str) -> Response:
        return publish(request, addon_of(addon_id))
