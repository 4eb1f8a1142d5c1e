"""The doors to discounts: coupons, and where they are applied."""

import secrets
from typing import Any

from django.db import transaction
from django.db.models import Count, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.adjustments.coupons import apply_coupon, archive_coupon, end_application, save_coupon
from billing.api.filters import ApplicationFilter, CouponFilter
from billing.api.serializers.coupons import (
    AssociationIn,
    AssociationOut,
    CouponChange,
    CouponIn,
    CouponOut,
    association_out,
    coupon_columns,
    coupon_out,
)
from billing.models import Coupon, CouponApplication
from catalog.models import Feature, Plan
from config.api.errors import invalid
from config.api.filters import Pages, apply_filters
from config.api.openapi import Message, listed, operation, search_body
from config.api.views import ApiView, get_or_404, read_body
from customers.api.customers import customer_by_external_id, customer_of
from customers.api.subscriptions import subscription_of

TAG = "Coupons"
WRITE = "billing:write"
LIST = listed("CouponList", CouponOut)
ASSOCIATIONS = listed("CouponAssociationList", AssociationOut)
REASON = "Through the API"
EXAMPLE = {
    "name": "Summer", "coupon_code": "SUMMER26", "type": "percentage", "percentage_off": "25", "cadence": "repeated",
    "duration_in_periods": 3,
}  # fmt: skip


def coupons() -> QuerySet[Coupon]:
    applied = CouponApplication.objects.filter(coupon=OuterRef("pk")).order_by().values("coupon")
    count = Coalesce(Subquery(applied.annotate(number=Count("pk")).values("number")), 0)
    rows: QuerySet[Coupon] = Coupon.objects.annotate(redemptions=count).prefetch_related("features", "plans")
    return rows.order_by("-created_at", "-pk")


def associations() -> QuerySet[CouponApplication]:
    used = Count("uses", filter=Q(uses__returned_at=None))
    rows: QuerySet[CouponApplication] = CouponApplication.objects.select_related("customer", "subscription")
    return rows.prefetch_related(Prefetch("coupon", coupons())).annotate(times_used=used).order_by("-pk")


def coupon_of(coupon_id: str) -> Coupon:
    return get_or_404(coupons(), "coupon", public_id=coupon_id)


def coupon_by_code(code: str) -> Coupon:
    return get_or_404(coupons(), "coupon", code=code)


def _shown(coupon: Coupon) -> Any:
    return CouponOut(coupon_out(coupon_of(coupon.public_id))).data


def _list(request: Request) -> Response:
    pages = Pages()
    cut = pages.paginate_queryset(apply_filters(request, coupons(), CouponFilter), request) or []
    return pages.get_paginated_response(CouponOut([coupon_out(coupon) for coupon in cut], many=True).data)


def _association(application: CouponApplication) -> Any:
    return AssociationOut(association_out(associations().get(pk=application.pk))).data


def all_of[Row: (Feature, Plan)](rows: QuerySet[Row], field: str, ids: list[str]) -> list[Row]:
    """Return the rows with these ids. 400 names one that there is none of."""
    by_id = {row.public_id: row for row in rows.filter(public_id__in=ids)}
    if missing := [one for one in ids if one not in by_id]:
        raise invalid({field: [f"There is none with the id {missing[0]}."]})
    return [by_id[one] for one in ids]


class Coupons(ApiView):
    """Make a coupon, or list them."""

    write_scope = WRITE

    @operation("listCoupons", "List coupons", tag=TAG, answers={200: LIST}, filters=CouponFilter)
    def get(self, request: Request) -> Response:
        return _list(request)

    @operation("createCoupon", "Make a coupon", tag=TAG, body=CouponIn, answers={201: CouponOut}, errors=(400, 409),
               example=EXAMPLE)  # fmt: skip
    def post(self, request: Request) -> Response:
        asked = read_body(request, CouponIn)
        features = all_of(Feature.objects.all(), "feature_ids", asked.get("feature_ids") or [])
        plans = all_of(Plan.objects.all(), "plan_ids", asked.get("plan_ids") or [])
        code = asked.get("coupon_code") or secrets.token_hex(4).upper()
        with transaction.atomic():
            coupon = save_coupon(Coupon(code=code, **coupon_columns(asked)), by=None, reason=REASON)
            coupon.features.set(features)
            coupon.plans.set(plans)
        return Response(_shown(coupon), status=201)


class CouponSearch(ApiView):
    """Find coupons by a body. Only reads."""

    is_reading = True

    @operation("queryCoupon", "Search coupons", tag=TAG, body=search_body(CouponFilter), answers={200: LIST})
    def post(self, request: Request) -> Response:
        return _list(request)


class CouponByCode(ApiView):
    """Read a coupon by its code."""

    @operation("getCouponByCode", "Read a coupon by code", tag=TAG, answers={200: CouponOut}, errors=(404,))
    def get(self, request: Request, code: str) -> Response:
        return Response(CouponOut(coupon_out(coupon_by_code(code))).data)


class OneCoupon(ApiView):
    """Read a coupon, rename it, or archive it: where it is applied it goes on."""

    write_scope = WRITE

    @operation("getCoupon", "Read a coupon", tag=TAG, answers={200: CouponOut}, errors=(404,))
    def get(self, request: Request, coupon_id: str) -> Response:
        return Response(CouponOut(coupon_out(coupon_of(coupon_id))).data)

    @operation("updateCoupon", "Change a coupon", tag=TAG, body=CouponChange, answers={200: CouponOut},
               errors=(400, 404), example={"name": "Summer sale"})  # fmt: skip
    def put(self, request: Request, coupon_id: str) -> Response:
        coupon, asked = coupon_of(coupon_id), read_body(request, CouponChange)
        for name, value in asked.items():
            if value is not None:
                setattr(coupon, name, value)
        return Response(_shown(save_coupon(coupon, by=None, reason=REASON)))

    @operation("deleteCoupon", "Archive a coupon", tag=TAG, answers={200: Message}, errors=(404,),
               description="It can't be applied any more. Where it is applied it goes on.")  # fmt: skip
    def delete(self, request: Request, coupon_id: str) -> Response:
        archive_coupon(coupon_of(coupon_id), now=timezone.now(), by=None, reason="Deleted through the API")
        return Response({"message": "Coupon archived"})


class CouponAssociations(ApiView):
    """Apply a coupon, or list where coupons are applied."""

    write_scope = WRITE

    @operation("listCouponAssociations", "List applied coupons", tag=TAG, answers={200: ASSOCIATIONS},
               filters=ApplicationFilter)  # fmt: skip
    def get(self, request: Request) -> Response:
        pages = Pages()
        cut = pages.paginate_queryset(apply_filters(request, associations(), ApplicationFilter), request) or []
        return pages.get_paginated_response(AssociationOut([association_out(each) for each in cut], many=True).data)

    @operation(
        "createCouponAssociation", "Apply a coupon", tag=TAG, body=AssociationIn, answers={201: AssociationOut},
        errors=(400, 404), example={"coupon_code": "SUMMER26", "external_customer_id": "acme"},
        description="Applied there already: what is there is returned.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        asked = read_body(request, AssociationIn)
        coupon = coupon_of(asked["coupon_id"]) if asked.get("coupon_id") else coupon_by_code(asked["coupon_code"])
        subscription = subscription_of(asked["subscription_id"]) if asked.get("subscription_id") else None
        if subscription is not None:
            customer = subscription.customer
        elif asked.get("customer_id"):
            customer = customer_of(asked["customer_id"])
        else:
            customer = customer_by_external_id(asked["external_customer_id"])
        application = apply_coupon(
            coupon, customer, subscription=subscription, now=timezone.now(), by=None, reason=REASON,
            starts_at=asked.get("start_date"), ends_at=asked.get("end_date"), metadata=asked.get("metadata"),
        )  # fmt: skip
        return Response(_association(application), status=201)


class OneCouponAssociation(ApiView):
    """Read where a coupon is applied, or end it there."""

    write_scope = WRITE

    @operation("getCouponAssociation", "Read an applied coupon", tag=TAG, answers={200: AssociationOut}, errors=(404,))
    def get(self, request: Request, association_id: str) -> Response:
        row = get_or_404(associations(), "coupon association", public_id=association_id)
        return Response(AssociationOut(association_out(row)).data)

    @operation("deleteCouponAssociation", "End an applied coupon", tag=TAG, answers={200: Message}, errors=(404,),
               description="Invoices that fall due from now on aren't reduced. Those made stay.")  # fmt: skip
    def delete(self, request: Request, association_id: str) -> Response:
        row = get_or_404(associations(), "coupon association", public_id=association_id)
        end_application(row, at=timezone.now(), by=None, reason=REASON)
        return Response({"message": "Coupon association ended"})
