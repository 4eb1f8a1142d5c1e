"""API views for tax rates and their assignments."""

from typing import Any

from django.db.models import Q
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.adjustments.tax_rates import assign, save_rate, set_archived, unassign
from billing.api.filters.taxes import AssignmentFilter, RateFilter
from billing.api.serializers.taxes import (
    INACTIVE,
    AssignmentChange,
    AssignmentIn,
    AssignmentOut,
    RateChange,
    RateIn,
    RateOut,
    assignments,
    behavior_of,
)
from billing.models import TaxAssignment, TaxRate
from config.api.errors import invalid
from config.api.filters import page
from config.api.openapi import listed, operation
from config.api.reasons import OptionalReasonIn, reason_in
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


def assignment_of(assignment_id: str) -> TaxAssignment:
    return get_or_404(assignments(), "tax association", public_id=assignment_id)


def _rate_answer(rate: TaxRate, status: int = 200) -> Response:
    return Response(RateOut(rate_of(rate.public_id)).data, status=status)


def _assignment_answer(assignment: TaxAssignment) -> Response:
    return Response(AssignmentOut(assignment_of(assignment.public_id)).data)


def rates_named(values: list[str]) -> list[TaxRate]:
    """Return the active tax rates with these ids or codes, each once. 400 names the first unknown one."""
    named: dict[int, TaxRate] = {}
    for value in values:
        rate = TaxRate.objects.filter(Q(public_id=value) | Q(code=value), archived_at=None).first()
        if rate is None:
            raise invalid({"tax_rates": [f"There is no active tax rate “{value}”."]})
        named[rate.pk] = rate
    return list(named.values())


class TaxRates(ApiView):
    """Create or list tax rates."""

    write_scope = WRITE

    @operation("getTaxRates", "List tax rates", tag=TAG, answers={200: LIST}, filters=RateFilter)
    def get(self, request: Request) -> Response:
        return page(request, TaxRate.objects.order_by("-created_at", "-pk"), RateFilter, RateOut)

    @operation(
        "createTaxRate",
        "Create a tax rate",
        tag=TAG,
        body=RateIn,
        answers={201: RateOut},
        errors=(400, 409),
        example=EXAMPLE,
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, RateIn)
        rate = TaxRate(
            code=body["code"],
            name=body["name"],
            percentage=body["percentage_value"],
            is_inclusive=body["tax_behavior"] == "inclusive",
            country=(body.get("country") or "").upper(),
            description=body.get("description") or "",
            metadata=body.get("metadata") or {},
        )
        return _rate_answer(save_rate(rate, by=None, reason=REASON), status=201)


class OneTaxRate(ApiView):
    """Retrieve, update or archive a tax rate."""

    write_scope = WRITE

    @operation("getTaxRate", "Retrieve a tax rate", tag=TAG, answers={200: RateOut}, errors=(404,))
    def get(self, request: Request, rate_id: str) -> Response:
        return Response(RateOut(rate_of(rate_id)).data)

    @operation(
        "updateTaxRate",
        "Update a tax rate",
        refusals="`code` must be the current code.",
        tag=TAG,
        body=RateChange,
        answers={200: RateOut},
        errors=(400, 404),
        example={"name": "VAT Germany"},
    )
    def put(self, request: Request, rate_id: str) -> Response:
        rate, body = rate_of(rate_id), read_body(request, RateChange)
        if body.get("code") not in (None, "", rate.code):
            raise invalid({"code": ["A tax rate's code can't be changed. Create a new tax rate."]})
        for name in ("name", "description", "metadata"):
            if body.get(name) is not None:
                setattr(rate, name, body[name])
        save_rate(rate, by=None, reason=REASON)
        if body.get("tax_rate_status"):
            at = timezone.now() if body["tax_rate_status"] == INACTIVE else None
            set_archived(rate, at=at, by=None, reason=REASON)
        return _rate_answer(rate)

    @operation(
        "deleteTaxRate",
        "Archive a tax rate",
        tag=TAG,
        answers={204: None},
        errors=(404,),
        description="The tax will no longer be charged to anyone. Existing invoices keep it.",
    )
    def delete(self, request: Request, rate_id: str) -> Response:
        set_archived(rate_of(rate_id), at=timezone.now(), by=None, reason="Deleted through the API")
        return Response(status=204)


class TaxRateActivation(ApiView):
    """Activate an archived tax rate: it is charged again to those it is assigned to."""

    write_scope = WRITE

    @operation(
        "activateTaxRate",
        "Activate a tax rate",
        tag=TAG,
        body=OptionalReasonIn,
        answers={200: RateOut},
        errors=(400, 404),
        example={"reason": "Still in force"},
    )
    def post(self, request: Request, rate_id: str) -> Response:
        reason = reason_in(read_body(request, OptionalReasonIn)) or REASON
        return _rate_answer(set_archived(rate_of(rate_id), at=None, by=None, reason=reason))


class TaxAssociations(ApiView):
    """Assign a tax rate to a customer, a subscription or everyone, or list the assignments."""

    write_scope = WRITE

    @operation(
        "listTaxAssociations", "List assigned taxes", tag=TAG, answers={200: ASSIGNMENTS}, filters=AssignmentFilter
    )
    def get(self, request: Request) -> Response:
        return page(request, assignments(), AssignmentFilter, AssignmentOut)

    @operation(
        "createTaxAssociation",
        "Assign a tax",
        refusals="`entity_type` is required with `entity_id`. A subscription is specified by `entity_id`, a customer "
        "by `entity_id` or `external_customer_id`. `tax_behavior` must be the tax rate's.",
        tag=TAG,
        body=AssignmentIn,
        answers={200: AssignmentOut},
        errors=(400, 404, 409),
        example={"tax_rate_code": "VAT-DE", "entity_type": "customer", "external_customer_id": "acme"},
        description="If the tax is already assigned there in the same way, the existing assignment is returned. With "
        "another currency, priority or metadata the answer is `409`: change or end the existing assignment.",
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, AssignmentIn)
        rate = rate_by_code(body["tax_rate_code"])
        if body.get("tax_behavior") not in (None, behavior_of(rate)):
            raise invalid(
                {
                    "tax_behavior": [
                        f"The tax rate is {behavior_of(rate)}. To use the other behavior, create a new tax rate."
                    ]
                }
            )
        assignment = assign(
            rate,
            by=None,
            reason=REASON,
            position=body.get("priority"),
            metadata=body.get("metadata"),
            currency=(body.get("currency") or "").upper(),
            **_owner(body),
        )
        return _assignment_answer(assignment)


def _owner(body: dict[str, Any]) -> dict[str, Any]:
    if body.get("entity_type") == "subscription":
        return {"subscription": subscription_of(body["entity_id"])}
    if body.get("entity_type") == "customer" and body.get("entity_id"):
        return {"customer": customer_of(body["entity_id"])}
    if body.get("external_customer_id"):
        return {"customer": customer_by_external_id(body["external_customer_id"])}
    return {}


class OneTaxAssociation(ApiView):
    """Retrieve, update or end the assignment of a tax."""

    write_scope = WRITE

    @operation("getTaxAssociation", "Retrieve an assigned tax", tag=TAG, answers={200: AssignmentOut}, errors=(404,))
    def get(self, request: Request, association_id: str) -> Response:
        return Response(AssignmentOut(assignment_of(association_id)).data)

    @operation(
        "updateTaxAssociation",
        "Update an assigned tax",
        tag=TAG,
        body=AssignmentChange,
        answers={200: AssignmentOut},
        errors=(400, 404),
        example={"priority": 2},
    )
    def put(self, request: Request, association_id: str) -> Response:
        assignment, body = assignment_of(association_id), read_body(request, AssignmentChange)
        if body.get("priority") is not None:
            assignment.position = body["priority"]
        if body.get("metadata") is not None:
            assignment.metadata = body["metadata"]
        with recorded(by=None, reason=REASON):
            assignment.save()
        return _assignment_answer(assignment)

    @operation("deleteTaxAssociation", "End an assigned tax", tag=TAG, answers={200: AssignmentOut}, errors=(404,))
    def delete(self, request: Request, association_id: str) -> Response:
        assignment = assignment_of(association_id)
        answer = AssignmentOut(assignment).data
        unassign(assignment, by=None, reason="Deleted through the API")
        return Response(answer)
