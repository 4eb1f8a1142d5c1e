"""API views for commitments of a whole subscription: list with the current term's progress, agree, end."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.charges.subscription_commitments import TermStatus
from billing.invoicing.commitment_progress import commitment_progress
from billing.money import money
from catalog.api.names import CADENCES, PERIODS
from config.api.errors import invalid
from config.api.fields import ComputedText, MomentField, TextField, plain
from config.api.openapi import operation
from config.api.views import ApiView, get_or_404, read_body
from customers.api.commitments import CommitmentFields, cadence_of, commitment_of, duration_of
from customers.api.subscriptions import REASON, TAG, WRITE, subscription_of
from customers.kinds import CommitmentKind
from customers.models import Commitment, Subscription
from customers.periods import NoSuchPeriod
from customers.subscriptions import (
    agree_commitment,
    end_commitment,
    get_billing_period,
    get_commitments,
    get_schedule,
)


class CurrentTermOut(serializers.Serializer[Any]):
    """The term in force. `used_amount` includes usage that isn't invoiced yet."""

    start_date = serializers.DateTimeField(source="term.served.start")
    end_date = serializers.DateTimeField(source="term.served.end")
    amount = ComputedText(help_text="The amount of this term. A minimum is prorated in a short term.")
    used_amount = ComputedText()
    remaining_amount = ComputedText()
    overage_amount = ComputedText(help_text="Usage above the amount, at list prices.")

    def get_amount(self, status: TermStatus) -> str:
        return self._money(status.limit)

    def get_used_amount(self, status: TermStatus) -> str:
        return self._money(status.used)

    def get_remaining_amount(self, status: TermStatus) -> str:
        return self._money(status.remaining)

    def get_overage_amount(self, status: TermStatus) -> str:
        return self._money(status.above)

    def _money(self, amount: Any) -> str:
        return money(amount, self.context["currency"])


class SubscriptionCommitmentOut(serializers.Serializer[Any]):
    """What a customer commits to spend on a subscription's usage in every term."""

    id = serializers.CharField(source="public_id")
    subscription_id = serializers.CharField(source="subscription.public_id")
    commitment_amount = ComputedText()
    commitment_duration = serializers.SerializerMethodField()
    billing_periods = serializers.IntegerField(source="periods", help_text="The term's length in billing periods.")
    commitment_invoice_cadence = serializers.SerializerMethodField()
    enable_true_up = serializers.SerializerMethodField()
    overage_factor = ComputedText()
    start_date = serializers.DateTimeField(source="starts_at")
    end_date = serializers.DateTimeField(source="ends_at", allow_null=True)
    current_term = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField(source="recorded_at")

    def get_commitment_amount(self, commitment: Commitment) -> str:
        return plain(commitment.amount)

    @extend_schema_field(serializers.ChoiceField(list(PERIODS), allow_null=True))
    def get_commitment_duration(self, commitment: Commitment) -> str | None:
        return duration_of(commitment)

    @extend_schema_field(serializers.ChoiceField(list(CADENCES)))
    def get_commitment_invoice_cadence(self, commitment: Commitment) -> str:
        return cadence_of(commitment)

    @extend_schema_field(serializers.BooleanField())
    def get_enable_true_up(self, commitment: Commitment) -> bool:
        return commitment.kind == CommitmentKind.MINIMUM

    def get_overage_factor(self, commitment: Commitment) -> str:
        return plain(commitment.overage_factor)

    @extend_schema_field(CurrentTermOut(allow_null=True))
    def get_current_term(self, commitment: Commitment) -> Any:
        status: TermStatus | None = self.context["status"]
        if status is None or status.committed.id != commitment.pk:
            return None
        return CurrentTermOut(status, context={"currency": commitment.subscription.currency}).data


class SubscriptionCommitments(serializers.Serializer[Any]):
    """The commitments of a subscription, the earliest first."""

    items = SubscriptionCommitmentOut(many=True)


class SubscriptionCommitmentIn(CommitmentFields):
    """A commitment from `start_date` on."""

    start_date = MomentField(
        required=False,
        allow_null=True,
        help_text="The start of a billing period. Defaults to that of the current one.",
    )
    end_date = MomentField(required=False, allow_null=True, help_text="The end of a billing period.")
    reason = TextField(255, allow_null=True, help_text="Required if it starts before the current billing period.")

    def validate(self, attrs: Any) -> Any:
        if attrs.get("commitment_amount") is None:
            raise serializers.ValidationError({"commitment_amount": "This field is required."})
        return attrs


class CommitmentEndIn(serializers.Serializer[Any]):
    """When the commitment ends: with the current billing period by default."""

    end_date = MomentField(required=False, allow_null=True, help_text="The end of a billing period.")
    reason = TextField(255, allow_null=True)


def _write(commitment: Commitment, now: datetime) -> Any:
    status = commitment_progress(commitment.subscription_id, now=now)
    return SubscriptionCommitmentOut(commitment, context={"status": status}).data


def _current_period(subscription: Subscription, now: datetime) -> Any:
    try:
        return get_billing_period(subscription, now)
    except NoSuchPeriod as error:
        raise invalid({"start_date": ["The subscription has no billing period then."]}) from error


class SubscriptionCommitmentList(ApiView):
    """List a subscription's commitments, or agree one."""

    write_scope = WRITE

    @operation(
        "listSubscriptionCommitments",
        "List a subscription's commitments",
        tag=TAG,
        answers={200: SubscriptionCommitments},
        errors=(404,),
    )
    def get(self, request: Request, subscription_id: str) -> Response:
        subscription, now = subscription_of(subscription_id), timezone.now()
        rows = get_commitments(subscription.pk)
        status = commitment_progress(subscription.pk, now=now)
        return Response(SubscriptionCommitments({"items": rows}, context={"status": status}).data)

    @operation(
        "createSubscriptionCommitment",
        "Agree a commitment",
        refusals="`commitment_amount` is required. `start_date` and `end_date` are starts of billing periods, and no "
        "other commitment applies in this time. `commitment_duration` is whole billing periods. `reason` is required "
        "before the current billing period. `enable_true_up` can't be combined with `commitment_invoice_cadence` "
        "ADVANCE; without either, `overage_factor` isn't 1.",
        tag=TAG,
        body=SubscriptionCommitmentIn,
        answers={201: SubscriptionCommitmentOut},
        may_wait=True,
        errors=(400, 404),
        example={
            "commitment_amount": "1200",
            "commitment_duration": "ANNUAL",
            "enable_true_up": True,
            "start_date": "2027-01-01T00:00:00Z",
        },
        description="A prepayment of a term that has begun is invoiced at once.",
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription, now = subscription_of(subscription_id), timezone.now()
        body = read_body(request, SubscriptionCommitmentIn)
        terms = commitment_of(body, get_schedule(subscription).interval)
        if terms is None:
            raise invalid({"commitment_amount": ["This field is required."]})
        commitment = agree_commitment(
            subscription,
            terms,
            starts_at=body.get("start_date") or _current_period(subscription, now).start,
            ends_at=body.get("end_date"),
            now=now,
            by=None,
            reason=body.get("reason") or "",
        )
        return Response(_write(commitment, now), status=201)


class SubscriptionCommitmentEnd(ApiView):
    """End a commitment of a subscription."""

    write_scope = WRITE

    @operation(
        "endSubscriptionCommitment",
        "End a commitment",
        refusals="`end_date` is the start of a billing period in the future, or the `start_date` of a commitment that "
        "hasn't started.",
        tag=TAG,
        body=CommitmentEndIn,
        answers={200: SubscriptionCommitmentOut},
        may_wait=True,
        errors=(400, 404),
        example={"reason": "Renegotiated"},
        description="A minimum is prorated to the shortened term. A prepayment isn't refunded.",
    )
    def post(self, request: Request, subscription_id: str, commitment_id: str) -> Response:
        subscription, now = subscription_of(subscription_id), timezone.now()
        rows = Commitment.objects.filter(subscription=subscription).select_related("subscription")
        commitment = get_or_404(rows, "commitment", public_id=commitment_id)
        body = read_body(request, CommitmentEndIn)
        at = body.get("end_date") or _current_period(subscription, now).end
        ended = end_commitment(commitment, at=at, now=now, by=None, reason=body.get("reason") or REASON)
        return Response(_write(ended, now))
