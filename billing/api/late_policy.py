"""API view for the policy that decides how late usage is billed."""

from decimal import Decimal
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.fields import amount_field
from billing.api.late_usage import TAG, WRITE
from billing.late_usage.policy import change_policy
from billing.models import LateLimit, LatePolicy
from billing.models.late import LessDue, MoreDue
from billing.money import known_currency, money
from config.api.openapi import operation
from config.api.views import ApiView, read_body


class LateLimitBody(serializers.Serializer[Any]):
    """Smaller differences in this currency, positive or negative, aren't billed yet."""

    currency = serializers.CharField(min_length=3, max_length=3)
    amount = amount_field(min_value=Decimal("0.0001"))

    def validate_currency(self, value: str) -> str:
        if not known_currency(value.upper()):
            raise serializers.ValidationError(f"{value} is not a currency.")
        return value.upper()

    def to_representation(self, instance: Any) -> dict[str, str]:
        return {"currency": instance.currency, "amount": money(instance.amount, instance.currency)}


class PolicyBody(serializers.Serializer[Any]):
    """How late usage is billed."""

    more_due = serializers.ChoiceField(MoreDue.choices, help_text="If the customer owes more.")
    less_due = serializers.ChoiceField(LessDue.choices, help_text="If the customer owes less.")
    limits = LateLimitBody(many=True)

    def validate_limits(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len({limit["currency"] for limit in value}) < len(value):
            raise serializers.ValidationError("Specify one limit per currency.")
        return value


class Policy(ApiView):
    """Retrieve or replace the late usage policy."""

    write_scope = WRITE

    @operation("getLatePolicy", "Retrieve the late usage policy", tag=TAG, answers={200: PolicyBody}, errors=())
    def get(self, request: Request) -> Response:
        return _answer(LatePolicy.objects.first() or LatePolicy())

    @operation(
        "updateLatePolicy",
        "Replace the late usage policy",
        refusals="`currency` must be an ISO 4217 code.",
        tag=TAG,
        body=PolicyBody,
        answers={200: PolicyBody},
        example={"more_due": "hold", "less_due": "credit_note", "limits": [{"currency": "USD", "amount": "1.00"}]},
        description="Applies to differences calculated from now on. Existing adjustments don't change.",
    )
    def put(self, request: Request) -> Response:
        body = read_body(request, PolicyBody)
        limits = {limit["currency"]: limit["amount"] for limit in body["limits"]}
        return _answer(change_policy(more_due=body["more_due"], less_due=body["less_due"], limits=limits, by=None))


def _answer(policy: LatePolicy) -> Response:
    limits = LateLimit.objects.order_by("currency")
    body = {"more_due": policy.more_due, "less_due": policy.less_due, "limits": limits}
    return Response(PolicyBody(body).data)
