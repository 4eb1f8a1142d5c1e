"""API views for plan changes: preview the effect on the next invoice, and execute."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.serializers.usage import ChangeIn, ChangeOut, ChangePreview
from billing.invoicing.previews import preview_plan_change
from billing.money import money
from catalog.api.names import PERIODS
from catalog.models import Plan
from config.api.errors import invalid
from config.api.openapi import operation
from config.api.views import ApiView, get_or_404, read_body
from customers.api.names import PRORATIONS
from customers.api.subscriptions import REASON, TAG, serialize_subscription, subscription_of
from customers.models import Subscription
from customers.subscriptions import change_plan, get_period_end, get_phase_at

EXAMPLE = {"target_plan_id": "plan_2", "proration_behavior": "create_prorations"}


def _read_change(request: Request, subscription: Subscription) -> tuple[Plan, datetime, datetime]:
    """Return the target plan, the time of the change, and now. 400 for changes that a plan change can't make."""
    body, now = read_body(request, ChangeIn), timezone.now()
    period = body.get("billing_period")
    if period and PERIODS[period] != subscription.interval:
        raise invalid(
            {
                "billing_period": [
                    "A plan change can't change the billing interval. Cancel the subscription and create a new one."
                ]
            }
        )
    if PRORATIONS[body["proration_behavior"]] != subscription.prorate:
        raise invalid(
            {
                "proration_behavior": [
                    "A plan change can't change the proration behavior. Send the subscription's current value."
                ]
            }
        )
    plan = get_or_404(Plan.objects.all(), "plan", public_id=body["target_plan_id"])
    at = now if body["change_at"] == "immediate" else get_period_end(subscription, now)
    return plan, at, now


class ChangePreviewing(ApiView):
    """Preview the effect of a plan change on the upcoming invoice. Nothing is changed."""

    is_reading = True

    @operation(
        "previewSubscriptionChange",
        "Preview a plan change",
        tag=TAG,
        body=ChangeIn,
        answers={200: ChangePreview},
        errors=(400, 404),
        example=EXAMPLE,
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription = subscription_of(subscription_id)
        plan, at, now = _read_change(request, subscription)
        phase = get_phase_at(subscription, now)
        effect = preview_plan_change(subscription, plan, at=at, now=now, reason=REASON)
        preview: dict[str, Any] = {
            "subscription_id": subscription.public_id,
            "current_plan": phase.plan_version.plan if phase else plan,
            "target_plan": plan,
            "effective_date": at,
            "upcoming_invoice": {
                "total": money(effect.after, subscription.currency),
                "difference": money(effect.difference, subscription.currency),
                "currency": subscription.currency,
            },
        }
        return Response(ChangePreview(preview).data)


class ChangeExecution(ApiView):
    """Change a subscription's plan, now or at the end of its billing period. Unused fees are credited."""

    write_scope = "customers:write"

    @operation(
        "executeSubscriptionChange",
        "Change a subscription's plan",
        tag=TAG,
        body=ChangeIn,
        answers={200: ChangeOut},
        errors=(400, 404),
        example=EXAMPLE,
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription = subscription_of(subscription_id)
        plan, at, now = _read_change(request, subscription)
        change_plan(subscription, plan, at=at, now=now, by=None, reason=REASON)
        return Response(
            {"effective_date": at, "is_scheduled": at > now, "subscription": serialize_subscription(subscription)}
        )
