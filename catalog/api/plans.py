"""API views for plans."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.bodies.plans import CloneIn, PlanChange, PlanIn
from catalog.api.bodies.shared import shared_columns
from catalog.api.filters import PlanFilter
from catalog.api.serializers.entitlements import EntitlementOut
from catalog.api.serializers.plans import PlanOut
from catalog.drafting import clone_plan, get_newest_versions
from catalog.models import Addon, Entitlement, Plan, Price
from catalog.plans import activate_plan, archive_plan
from config.api.filters import Pages, apply_filters, read_expansions
from config.api.openapi import Message, listed, operation, search_body
from config.api.reasons import OptionalReasonIn, reason_in
from config.api.views import ApiView, get_or_404, read_body
from config.audit import recorded

TAG = "Plans"
WRITE = "catalog:write"
LIST = listed("PlanList", PlanOut)
ALL = ("prices", "entitlements")


def plan_of(plan_id: str) -> Plan:
    return get_or_404(Plan.objects.all(), "plan", public_id=plan_id)


def offer_of(body: Mapping[str, Any]) -> Plan:
    """Return the plan or add-on that a body's entity type and id, or its plan id, name."""
    if body.get("entity_type") == "ADDON":
        return get_or_404(Addon.objects.all(), "add-on", public_id=body["entity_id"])
    return plan_of(body.get("plan_id") or body["entity_id"])


def expansions(plans: Iterable[Plan], names: Collection[str]) -> dict[str, Any]:
    """Load those of `prices` and `entitlements` to include in plans: three queries, however many plans."""
    ids = [plan.pk for plan in plans]
    versions = get_newest_versions().filter(plan__in=ids).values("pk")
    context: dict[str, Any] = {}
    if "prices" in names:
        prices = Price.objects.filter(version__in=versions).order_by("position", "pk")
        rows: Any = prices.select_related("feature", "version__plan").prefetch_related("tiers")
        context["prices"] = _by_plan(rows)
    if "entitlements" in names:
        granted: Any = Entitlement.objects.filter(version__in=versions).select_related("feature", "version__plan")
        context["entitlements"] = _by_plan(granted)
    return context


def _by_plan(rows: Iterable[Any]) -> dict[int, list[Any]]:
    rows_by_plan: dict[int, list[Any]] = {}
    for row in rows:
        rows_by_plan.setdefault(row.version.plan_id, []).append(row)
    return rows_by_plan


def listed_plans(request: Request) -> Response:
    pages = Pages()
    rows = apply_filters(request, Plan.objects.order_by("-pk"), PlanFilter)
    plans = pages.paginate_queryset(rows, request) or []
    context = expansions(plans, read_expansions(request, PlanFilter))
    return pages.get_paginated_response(PlanOut(plans, many=True, context=context).data)


class Plans(ApiView):
    """Create or list plans."""

    write_scope = WRITE

    @operation("listPlans", "List plans", tag=TAG, answers={200: LIST}, filters=PlanFilter)
    def get(self, request: Request) -> Response:
        return listed_plans(request)

    @operation(
        "createPlan",
        "Create a plan",
        tag=TAG,
        body=PlanIn,
        answers={201: PlanOut},
        errors=(400, 409),
        example={"name": "Growth", "lookup_key": "growth"},
        description="Prices and entitlements are added to the plan's draft, which its first subscription publishes.",
    )
    def post(self, request: Request) -> Response:
        return Response(PlanOut(_save(Plan(**shared_columns(read_body(request, PlanIn))))).data, status=201)


def _save(plan: Plan) -> Plan:
    plan.full_clean()
    with recorded(by=None):
        plan.save()
    return plan


class PlanSearch(ApiView):
    """Search plans."""

    is_reading = True

    @operation("queryPlan", "Search plans", tag=TAG, body=search_body(PlanFilter), answers={200: LIST})
    def post(self, request: Request) -> Response:
        return listed_plans(request)


class OnePlan(ApiView):
    """Retrieve, update or archive a plan."""

    write_scope = WRITE

    @operation("getPlan", "Retrieve a plan", tag=TAG, answers={200: PlanOut}, errors=(404,))
    def get(self, request: Request, plan_id: str) -> Response:
        plan = plan_of(plan_id)
        return Response(PlanOut(plan, context=expansions([plan], ALL)).data)

    @operation(
        "updatePlan",
        "Update a plan",
        tag=TAG,
        body=PlanChange,
        answers={200: PlanOut},
        errors=(400, 404, 409),
        example={"name": "Growth 2026"},
    )
    def put(self, request: Request, plan_id: str) -> Response:
        plan = plan_of(plan_id)
        for name, value in shared_columns(read_body(request, PlanChange)).items():
            setattr(plan, name, value)
        return Response(PlanOut(_save(plan)).data)

    @operation(
        "deletePlan",
        "Archive a plan",
        tag=TAG,
        answers={200: Message},
        errors=(404,),
        description="An archived plan accepts no new subscriptions. Existing subscriptions continue.",
    )
    def delete(self, request: Request, plan_id: str) -> Response:
        archive_plan(plan_of(plan_id), now=timezone.now(), by=None, reason="Deleted through the API")
        return Response({"message": "Plan archived"})


class PlanActivation(ApiView):
    """Activate an archived plan: it accepts new subscriptions again."""

    write_scope = WRITE

    @operation(
        "activatePlan",
        "Activate a plan",
        tag=TAG,
        body=OptionalReasonIn,
        answers={200: PlanOut},
        errors=(400, 404),
        example={"reason": "Sold again"},
    )
    def post(self, request: Request, plan_id: str) -> Response:
        plan, reason = plan_of(plan_id), reason_in(read_body(request, OptionalReasonIn))
        return Response(PlanOut(activate_plan(plan, by=None, reason=reason)).data)


class PlanClone(ApiView):
    """Copy a plan, with the prices and entitlements of its newest version in a draft."""

    write_scope = WRITE

    @operation(
        "clonePlan",
        "Copy a plan",
        tag=TAG,
        body=CloneIn,
        answers={201: PlanOut},
        errors=(400, 404, 409),
        example={"name": "Growth, yearly"},
    )
    def post(self, request: Request, plan_id: str) -> Response:
        copy = clone_plan(plan_of(plan_id), **shared_columns(read_body(request, CloneIn)))
        return Response(PlanOut(copy, context=expansions([copy], ALL)).data, status=201)


class PlanEntitlements(ApiView):
    """List the entitlements of a plan's newest version."""

    @operation(
        "getPlanEntitlements",
        "List a plan's entitlements",
        tag=TAG,
        errors=(404,),
        answers={200: listed("PlanEntitlementList", EntitlementOut)},
    )
    def get(self, request: Request, plan_id: str) -> Response:
        plan = plan_of(plan_id)
        rows = expansions([plan], ["entitlements"])["entitlements"].get(plan.pk, [])
        pagination = {"total": len(rows), "limit": max(len(rows), 1), "offset": 0}
        return Response({"items": EntitlementOut(rows, many=True).data, "pagination": pagination})
