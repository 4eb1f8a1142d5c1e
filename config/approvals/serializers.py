"""Approvals and their rules, in requests and answers."""

from typing import Any

from rest_framework import serializers

from config.api.fields import BlankAsNullField
from config.approvals.kinds import ApprovalKind, ApprovalStatus, Operation, RuleMode
from config.approvals.models import EXPIRES_DAYS, MOST_DAYS, Approval, ApprovalRule


class ApprovalOut(serializers.Serializer[Any]):
    """A request to carry out an action, and the decision about it.

    `requested` can still be decided. `approved` was carried out. `failed` was approved, but the action was refused or
    had changed, so nothing was done; `outcome` says why.
    """

    id = serializers.CharField(source="public_id")
    status = serializers.ChoiceField(ApprovalStatus.choices)
    rule = serializers.ChoiceField(ApprovalKind.choices, source="kind", help_text="The rule that requires approval.")
    operation = serializers.ChoiceField(Operation.choices, help_text="What is carried out if it is approved.")
    title = serializers.CharField()
    effect = serializers.CharField()
    object_id = BlankAsNullField(source="object_public_id", help_text="The object, if it is only one.")
    amounts = serializers.SerializerMethodField()
    inputs = serializers.DictField(help_text="What is carried out, exactly.")
    reason = BlankAsNullField()
    requested_by = serializers.CharField(source="requester", help_text="A colleague, or an API key.")
    requested_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    decided_by = BlankAsNullField(source="decider")
    decided_at = serializers.DateTimeField(allow_null=True)
    decision_reason = BlankAsNullField()
    outcome = BlankAsNullField()
    result_id = BlankAsNullField(help_text="The object that was created or changed.")

    def get_amounts(self, approval: Approval) -> list[dict[str, str]]:
        return [{"currency": currency, "amount": amount} for currency, amount in approval.amounts.items()]


class LimitField(serializers.Serializer[Any]):
    """The largest amount in a currency without approval."""

    currency = serializers.RegexField(r"^[A-Z]{3}\Z")
    amount = serializers.DecimalField(max_digits=19, decimal_places=4, min_value=0)


class RuleIn(serializers.Serializer[Any]):
    """When an action needs approval. `limits` are required for `above`; other currencies always need approval."""

    mode = serializers.ChoiceField(RuleMode.choices)
    limits = LimitField(many=True, required=False)
    expires_days = serializers.IntegerField(min_value=1, max_value=MOST_DAYS, default=EXPIRES_DAYS)
    reason = serializers.CharField(max_length=255)


class RuleOut(serializers.Serializer[Any]):
    """When an action needs approval."""

    action = serializers.ChoiceField(ApprovalKind.choices, source="kind")
    mode = serializers.ChoiceField(RuleMode.choices)
    limits = serializers.SerializerMethodField()
    expires_days = serializers.IntegerField()
    updated_at = serializers.DateTimeField()

    def get_limits(self, rule: ApprovalRule) -> list[dict[str, str]]:
        return [{"currency": currency, "amount": amount} for currency, amount in sorted(rule.limits.items())]
