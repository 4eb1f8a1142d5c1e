"""API views for coupons and their applications to customers and subscriptions."""

import secrets

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.adjustments.coupons import activate_coupon, apply_coupon, archive_coupon, end_application, save_coupon
from billing.api.filters.coupons import ApplicationFilter, CouponFilter
from billing.api.serializers.coupons import (
    AssociationIn,
    AssociationOut,
    CouponChange,
    CouponIn,
    CouponOut,
    associations,
    coupon_columns,
    coupons,
)
from billing.models import Coupon
from catalog.models import Feature, Plan
from config.api.errors import invalid
from config.api.filters import page
from config.api.openapi import Message, listed, operation, search_body
from config.api.reasons import OptionalReasonIn, reason_in
from config.api.views import ApiView, get_or_404, read_body
from customers.api.customers import customer_by_external_id, customer_of
from customers.api.subscriptions import subscription_of

TAG = "Coupons"
WRITE = "billing:write"
LIST = listed("CouponList", CouponOut)
ASSOCIATIONS = listed("CouponAssociationList", AssociationOut)
REASON = "Through the API"
EXAMPLE = {
    "name": "Summer",
    "coupon_code": "SUMMER26",
    "type": "percentage",
    "percentage_off": "25",
    "cadence": "repeated",
    "duration_in_periods": 3,
}


def coupon_of(coupon_id: str) -> Coupon:
    return get_or_404(coupons(), "coupon", public_id=coupon_id)


def coupon_by_code(code: str) -> Coupon:
    return get_or_404(coupons(), "coupon", code=code)


def coupons_named(values: list[str]) -> list[Coupon]:
    """Return the coupons with these ids or codes, each once. 400 names the first unknown one."""
    named: dict[int, Coupon] = {}
    for value in values:
        coupon = Coupon.objects.filter(public_id=value).first() or Coupon.objects.filter(code=value).first()
        if coupon is None:
            raise invalid({"coupons": [f"There is no coupon “{value}”."]})
        named[coupon.pk] = coupon
    return list(named.values())


def all_of[Row: (Feature, Plan)](rows: QuerySet[Row], field: str, ids: list[str]) -> list[Row]:
    """Return the rows with these ids, in their order. 400 names the first unknown id."""
    by_id = {row.public_id: row for row in rows.filter(public_id__in=ids)}
    if unknown := [public_id for public_id in ids if public_id not in by_id]:
        raise invalid({field: [f"There is no object with the id “{unknown[0]}”."]})
    return [by_id[public_id] for public_id in ids]


class Coupons(ApiView):
    """Create or list coupons."""

    write_scope = WRITE

    @operation("listCoupons", "List coupons", tag=TAG, answers={200: LIST}, filters=CouponFilter)
    def get(self, request: Request) -> Response:
        return page(request, coupons(), CouponFilter, CouponOut)

    @operation(
        "createCoupon",
        "Create a coupon",
        refusals="A fixed coupon has an `amount_off` and a `currency`, a percentage coupon a `percentage_off`, and "
        "only a repeated coupon has `duration_in_periods`. `keeps_rest` is only allowed for a fixed coupon that "
        "applies once. The `scope` chosen needs `feature_ids` or `plan_ids` that exist, and no other scope has them.",
        tag=TAG,
        body=CouponIn,
        answers={201: CouponOut},
        errors=(400, 409),
        example=EXAMPLE,
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, CouponIn)
        features = all_of(Feature.objects.all(), "feature_ids", body.get("feature_ids") or [])
        plans = all_of(Plan.objects.all(), "plan_ids", body.get("plan_ids") or [])
        code = body.get("coupon_code") or secrets.token_hex(4).upper()
        with transaction.atomic():
            coupon = save_coupon(Coupon(code=code, **coupon_columns(body)), by=None, reason=REASON)
            coupon.features.set(features)
            coupon.plans.set(plans)
        return Response(CouponOut(coupon_of(coupon.public_id)).data, status=201)


class CouponSearch(ApiView):
    """Search coupons."""

    is_reading = True

    @operation("queryCoupon", "Search coupons", tag=TAG, body=search_body(CouponFilter), answers={200: LIST})
    def post(self, request: Request) -> Response:
        return page(request, coupons(), CouponFilter, CouponOut)


class CouponByCode(ApiView):
    """Retrieve a coupon by its code."""

    @operation("getCouponByCode", "Retrieve a coupon by code", tag=TAG, answers={200: CouponOut}, errors=(404,))
    def get(self, request: Request, code: str) -> Response:
        return Response(CouponOut(coupon_by_code(code)).data)


class OneCoupon(ApiView):
    """Retrieve, update or archive a coupon. Archiving keeps its applications active."""

    write_scope = WRITE

    @operation("getCoupon", "Retrieve a coupon", tag=TAG, answers={200: CouponOut}, errors=(404,))
    def get(self, request: Request, coupon_id: str) -> Response:
        return Response(CouponOut(coupon_of(coupon_id)).data)

    @operation(
        "updateCoupon",
        "Update a coupon",
        tag=TAG,
        body=CouponChange,
        answers={200: CouponOut},
        errors=(400, 404),
        example={"name": "Summer sale"},
    )
    def put(self, request: Request, coupon_id: str) -> Response:
        coupon, body = coupon_of(coupon_id), read_body(request, CouponChange)
        for name, value in body.items():
            if value is not None:
                setattr(coupon, name, value)
        save_coupon(coupon, by=None, reason=REASON)
        return Response(CouponOut(coupon_of(coupon_id)).data)

    @operation(
        "deleteCoupon",
        "Archive a coupon",
        tag=TAG,
        answers={200: Message},
        errors=(404,),
        description="An archived coupon can't be applied anymore. Its existing applications stay active.",
    )
    def delete(self, request: Request, coupon_id: str) -> Response:
        archive_coupon(coupon_of(coupon_id), now=timezone.now(), by=None, reason="Deleted through the API")
        return Response({"message": "Coupon archived"})


class CouponActivation(ApiView):
    """Activate an archived coupon: it can be applied again."""

    write_scope = WRITE

    @operation(
        "activateCoupon",
        "Activate a coupon",
        tag=TAG,
        body=OptionalReasonIn,
        answers={200: CouponOut},
        errors=(400, 404),
        example={"reason": "The campaign continues"},
    )
    def post(self, request: Request, coupon_id: str) -> Response:
        reason = reason_in(read_body(request, OptionalReasonIn))
        activate_coupon(coupon_of(coupon_id), by=None, reason=reason)
        return Response(CouponOut(coupon_of(coupon_id)).data)


class CouponAssociations(ApiView):
    """Apply a coupon, or list applied coupons."""

    write_scope = WRITE

    @operation(
        "listCouponAssociations",
        "List applied coupons",
        tag=TAG,
        answers={200: ASSOCIATIONS},
        filters=ApplicationFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, associations(), ApplicationFilter, AssociationOut)

    @operation(
        "createCouponAssociation",
        "Apply a coupon",
        refusals="Specify the coupon by `coupon_code` or `coupon_id`, and the owner by `subscription_id`, "
        "`customer_id` or `external_customer_id`.",
        tag=TAG,
        body=AssociationIn,
        answers={201: AssociationOut},
        errors=(400, 404),
        example={"coupon_code": "SUMMER26", "external_customer_id": "acme"},
        description="If the coupon is already applied there, the existing application is returned.",
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, AssociationIn)
        coupon = coupon_of(body["coupon_id"]) if body.get("coupon_id") else coupon_by_code(body["coupon_code"])
        subscription = subscription_of(body["subscription_id"]) if body.get("subscription_id") else None
        if subscription is not None:
            customer = subscription.customer
        elif body.get("customer_id"):
            customer = customer_of(body["customer_id"])
        else:
            customer = customer_by_external_id(body["external_customer_id"])
        application = apply_coupon(
            coupon,
            customer,
            subscription=subscription,
            now=timezone.now(),
            by=None,
            reason=REASON,
            starts_at=body.get("start_date"),
            ends_at=body.get("end_date"),
            metadata=body.get("metadata"),
        )
        return Response(AssociationOut(associations().get(pk=application.pk)).data, status=201)


class OneCouponAssociation(ApiView):
    """Retrieve or end the application of a coupon."""

    write_scope = WRITE

    @operation(
        "getCouponAssociation", "Retrieve an applied coupon", tag=TAG, answers={200: AssociationOut}, errors=(404,)
    )
    def get(self, request: Request, association_id: str) -> Response:
        row = get_or_404(associations(), "coupon association", public_id=association_id)
        return Response(AssociationOut(row).data)

    @operation(
        "deleteCouponAssociation",
        "End an applied coupon",
        tag=TAG,
        answers={200: Message},
        errors=(400, 404),
        description="Future invoices won't be discounted. Existing invoices keep their discount.",
    )
    def delete(self, request: Request, association_id: str) -> Response:
        row = get_or_404(associations(), "coupon association", public_id=association_id)
        end_application(row, at=timezone.now(), by=None, reason=REASON)
        return Response({"message": "Coupon association ended"})
