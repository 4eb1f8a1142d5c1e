"""The doors to taxes: rates, and who pays them."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.adjustments.tax_rates import assign, save_rate, set_archived, unassign
from billing.api.filters import AssignmentFilter, RateFilter
from billing.api.serializers.taxes import (
    AssignmentChange,
    AssignmentIn,
    AssignmentOut,
    RateChange,
    RateIn,
    RateOut,
    assignment_out,
    behavior,
    rate_out,
)
from billing.models import TaxAssignment, TaxRate
from config.api.errors import invalid
from config.api.filters import Pages, apply_filters
from config.api.openapi import Message, listed, operation
from config.api.views import ApiView, get_or_404, read_body
from config.audit import recorded
from customers.api.customers import customer_by_external_id, customer_of
from customers.api.subscriptions import subscription_of

TAG = "Taxes"
WRITE = "billing:write"
LIST = listed("TaxRateList", RateOut)
ASSIGNMENTS = listed("TaxAssociationList", AssignmentOut)
REASON = "Through the API"
EXAMPLE = {"code": "VAT-DE", "name": "VAT", "percentage_value": "19", "country": "DE"}


def rate_of(rate_id: str) -> TaxRate:
    return get_or_404(TaxRate.objects.all(), "tax rate", public_id=rate_id)


def rate_by_code(code: str) -> TaxRate:
    return get_or_404(TaxRate.objects.all(), "tax rate", code=code)


def assignments() -> QuerySet[TaxAssignment]:
    return TaxAssignment.objects.select_related("rate", "customer", "subscription").order_by("position", "pk")


def assignment_of(assignment_id: str) -> TaxAssignment:
    return get_or_404(assignments(), "tax association", public_id=assignment_id)


def _shown(rate: TaxRate) -> Any:
    return RateOut(rate_out(rate_of(rate.public_id))).data


def _assigned(assignment: TaxAssignment) -> Response:
    return Response(AssignmentOut(assignment_out(assignment_of(assignment.public_id))).data)


class TaxRates(ApiView):
    """Make a tax rate, or list them."""

    write_scope = WRITE

    @operation("getTaxRates", "List tax rates", tag=TAG, answers={200: LIST}, filters=RateFilter)
    def get(self, request: Request) -> Response:
        pages = Pages()
        rows = TaxRate.objects.order_by("-created_at", "-pk")
        cut = pages.paginate_queryset(apply_filters(request, rows, RateFilter), request) or []
        return pages.get_paginated_response(RateOut([rate_out(rate) for rate in cut], many=True).data)

    @operation("createTaxRate", "Make a tax rate", tag=TAG, body=RateIn, answers={201: RateOut}, errors=(400, 409),
               example=EXAMPLE)  # fmt: skip
    def post(self, request: Request) -> Response:
        asked = read_body(request, RateIn)
        rate = TaxRate(
            code=asked["code"], name=asked["name"], percentage=asked["percentage_value"],
            is_inclusive=asked["tax_behavior"] == "inclusive", country=(asked.get("country") or "").upper(),
            description=asked.get("description") or "", metadata=asked.get("metadata") or {},
        )  # fmt: skip
        return Response(_shown(save_rate(rate, by=None, reason=REASON)), status=201)


class OneTaxRate(ApiView):
    """Read a tax rate, rename it, or archive it."""

    write_scope = WRITE

    @operation("getTaxRate", "Read a tax rate", tag=TAG, answers={200: RateOut}, errors=(404,))
    def get(self, request: Request, rate_id: str) -> Response:
        return Response(RateOut(rate_out(rate_of(rate_id))).data)

    @operation("updateTaxRate", "Change a tax rate", tag=TAG, body=RateChange, answers={200: RateOut},
               errors=(400, 404), example={"name": "VAT Germany"})  # fmt: skip
    def put(self, request: Request, rate_id: str) -> Response:
        rate, asked = rate_of(rate_id), read_body(request, RateChange)
        if asked.get("code") not in (None, "", rate.code):
            raise invalid({"code": ["A rate's code never changes: make a new rate."]})
        for name in ("name", "description", "metadata"):
            if asked.get(name) is not None:
                setattr(rate, name, asked[name])
        save_rate(rate, by=None, reason=REASON)
        if asked.get("tax_rate_status"):
            at = timezone.now() if asked["tax_rate_status"] == "INACTIVE" else None
            set_archived(rate, at=at, by=None, reason=REASON)
        return Response(_shown(rate))

    @operation("deleteTaxRate", "Archive a tax rate", tag=TAG, answers={204: None}, errors=(404,),
               description="Nobody pays it any more. Invoices that have it stay.")  # fmt: skip
    def delete(self, request: Request, rate_id: str) -> Response:
        set_archived(rate_of(rate_id), at=timezone.now(), by=None, reason="Deleted through the API")
        return Response(status=204)


class TaxAssociations(ApiView):
    """Have a customer, a subscription or everybody pay a tax, or list who pays which."""

    write_scope = WRITE

    @operation("listTaxAssociations", "List who pays which taxes", tag=TAG, answers={200: ASSIGNMENTS},
               filters=AssignmentFilter)  # fmt: skip
    def get(self, request: Request) -> Response:
        pages = Pages()
        cut = pages.paginate_queryset(apply_filters(request, assignments(), AssignmentFilter), request) or []
        return pages.get_paginated_response(AssignmentOut([assignment_out(each) for each in cut], many=True).data)

    @operation(
        "createTaxAssociation", "Assign a tax", tag=TAG, body=AssignmentIn, answers={200: AssignmentOut},
        errors=(400, 404),
        example={"tax_rate_code": "VAT-DE", "entity_type": "customer", "external_customer_id": "acme"},
        description="Assigned already: what is there is returned.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        asked = read_body(request, AssignmentIn)
        rate = rate_by_code(asked["tax_rate_code"])
        if asked.get("tax_behavior") not in (None, behavior(rate)):
            raise invalid({"tax_behavior": [f"The rate is {behavior(rate)}: that is fixed with the rate."]})
        assignment = assign(
            rate, by=None, reason=REASON, position=asked.get("priority"), metadata=asked.get("metadata"),
            currency=(asked.get("currency") or "").upper(), **_owner(asked),
        )  # fmt: skip
        return _assigned(assignment)


def _owner(asked: dict[str, Any]) -> dict[str, Any]:
    if asked.get("entity_type") == "subscription":
        return {"subscription": subscription_of(asked["entity_id"])}
    if asked.get("entity_type") == "customer" and asked.get("entity_id"):
        return {"customer": customer_of(asked["entity_id"])}
    if asked.get("external_customer_id"):
        return {"customer": customer_by_external_id(asked["external_customer_id"])}
    return {}


class OneTaxAssociation(ApiView):
    """Read who pays a tax, change its place among their taxes, or end it."""

    write_scope = WRITE

    @operation("getTaxAssociation", "Read an assigned tax", tag=TAG, answers={200: AssignmentOut}, errors=(404,))
    def get(self, request: Request, association_id: str) -> Response:
        return _assigned(assignment_of(association_id))

    @operation("updateTaxAssociation", "Change an assigned tax", tag=TAG, body=AssignmentChange,
               answers={200: AssignmentOut}, errors=(400, 404), example={"priority": 2})  # fmt: skip
    def put(self, request: Request, association_id: str) -> Response:
        assignment, asked = assignment_of(association_id), read_body(request, AssignmentChange)
        if asked.get("priority") is not None:
            assignment.position = asked["priority"]
        if asked.get("metadata") is not None:
            assignment.metadata = asked["metadata"]
        with recorded(by=None, reason=REASON):
            assignment.save()
        return _assigned(assignment)

    @operation("deleteTaxAssociation", "End an assigned tax", tag=TAG, answers={200: Message}, errors=(404,))
    def delete(self, request: Request, association_id: str) -> Response:
        unassign(assignment_of(association_id), by=None, reason="Deleted through the API")
        return Response({"message": "Tax association ended"})
