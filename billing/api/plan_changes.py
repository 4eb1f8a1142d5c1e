"""The doors that move a subscription to another plan: see what it would do to the next invoice, then do it."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.serializers.usage import ChangeIn, ChangeOut, ChangePreview
from billing.invoicing.previews import effect_of_plan
from billing.money import money
from catalog.api.names import PERIODS
from catalog.models import Plan
from config.api.openapi import operation
from config.api.views import ApiView, get_or_404, invalid, read_body
from customers.api.names import PRORATIONS
from customers.api.subscriptions import REASON, TAG, shown_one, subscription_of
from customers.models import Subscription
from customers.subscriptions import change_plan, get_period_end, get_phase_at

EXAMPLE = {"target_plan_id": "plan_2", "proration_behavior": "create_prorations"}


def _asked(request: Request, subscription: Subscription) -> tuple[Plan, datetime, datetime]:
    """Read the target plan, when the change is to be, and now. 400 for what the subscription keeps."""
    asked, now = read_body(request, ChangeIn), timezone.now()
    period = asked.get("billing_period")
    if period and PERIODS[period] != subscription.interval:
        raise invalid({"billing_period": ["A change keeps the rhythm: cancel, and subscribe anew for another."]})
    if PRORATIONS[asked["proration_behavior"]] != subscription.prorate:
        raise invalid({"proration_behavior": ["Whether fees are prorated is the subscription's own, from its start."]})
    plan = get_or_404(Plan.objects.all(), "plan", public_id=asked["target_plan_id"])
    at = now if asked["change_at"] == "immediate" else get_period_end(subscription, now)
    return plan, at, now


class ChangePreviewing(ApiView):
    """Show what a change of plan would do to the upcoming invoice. It is made, looked at, and taken back."""

    is_reading = True

    @operation(
        "previewSubscriptionChange", "Preview a change of plan", tag=TAG, body=ChangeIn,
        answers={200: ChangePreview}, errors=(400, 404), example=EXAMPLE,
    )  # fmt: skip
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription = subscription_of(subscription_id)
        plan, at, now = _asked(request, subscription)
        here = get_phase_at(subscription, now)
        effect = effect_of_plan(subscription, plan, at=at, now=now, reason=REASON)
        found_: dict[str, Any] = {
            "subscription_id": subscription.public_id,
            "current_plan": here.plan_version.plan if here else plan,
            "target_plan": plan,
            "effective_date": at,
            "upcoming_invoice": {
                "total": money(effect.after, subscription.currency),
                "difference": money(effect.difference, subscription.currency),
                "currency": subscription.currency,
            },
        }
        return Response(ChangePreview(found_).data)


class ChangeExecution(ApiView):
    """Move a subscription to another plan, now or with its period's end. What is unused of the old one is credited."""

    write_scope = "customers:write"

    @operation(
        "executeSubscriptionChange", "Change the plan", tag=TAG, body=ChangeIn, answers={200: ChangeOut},
        errors=(400, 404), example=EXAMPLE,
    )  # fmt: skip
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription = subscription_of(subscription_id)
        plan, at, now = _asked(request, subscription)
        change_plan(subscription, plan, at=at, now=now, by=None, reason=REASON)
        return Response({"effective_date": at, "is_scheduled": at > now, "subscription": shown_one(subscription)})
