"""API views for plan changes: preview the effect on the next invoice, and execute."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.serializers.invoices import InvoiceOut, invoices
from billing.api.serializers.usage import ChangeIn, ChangeOut, ChangePreview
from billing.api.subscription_terms import EffectOut, write_effect
from billing.invoicing.previews import preview_change, preview_plan_change
from billing.kinds import InvoiceKind
from catalog.api.names import PERIODS
from catalog.models import Plan
from config.api.errors import invalid
from config.api.openapi import operation
from config.api.views import ApiView, get_or_404, read_body
from customers.api.bodies import PauseIn, ResumeIn
from customers.api.names import CYCLES, PRORATIONS
from customers.api.schedules import list_schedules
from customers.api.subscriptions import (
    REASON,
    TAG,
    check_proration,
    past_without_reason,
    pause_by_body,
    resume_by_body,
    serialize_subscription,
    subscription_of,
)
from customers.kinds import ChangeInvoicing
from customers.models import Subscription
from customers.subscriptions import ScheduledKind, change_plan, get_period_end, get_phase_at

RULES = (
    "`billing_period`, `billing_period_count` and `billing_cycle` must be those of the subscription. `reason` is "
    "required if `effective_date` is in the past; `effective_date` replaces `change_at`."
)
EXAMPLE = {"target_plan_id": "plan_2", "proration_behavior": "create_prorations"}


@dataclass(frozen=True, slots=True)
class RequestedChange:
    """A plan change as the request describes it, and the time of the request."""

    plan: Plan
    at: datetime
    now: datetime
    invoicing: ChangeInvoicing
    reason: str


def _read_change(request: Request, subscription: Subscription) -> RequestedChange:
    """Read the body. 400 for changes that a plan change can't make."""
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
    if body.get("billing_period_count") not in (None, subscription.interval_count):
        raise invalid({"billing_period_count": ["A plan change can't change the billing interval."]})
    if body.get("billing_cycle") and CYCLES[body["billing_cycle"]] != subscription.alignment:
        raise invalid({"billing_cycle": ["A plan change can't change the billing cycle. Leave this field out."]})
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
    at = body.get("effective_date") or at
    if at < now and not body.get("reason"):
        raise past_without_reason("change the plan")
    return RequestedChange(plan, at, now, ChangeInvoicing(body["invoicing"]), body.get("reason") or REASON)


class ChangePreviewing(ApiView):
    """Preview the effect of a plan change on invoices. Nothing is changed."""

    is_reading = True

    @operation(
        "previewSubscriptionChange",
        "Preview a plan change",
        refusals=RULES,
        tag=TAG,
        body=ChangeIn,
        answers={200: ChangePreview},
        errors=(400, 404),
        example=EXAMPLE,
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription = subscription_of(subscription_id)
        change = _read_change(request, subscription)
        phase = get_phase_at(subscription, change.now)
        effect = preview_plan_change(
            subscription, change.plan, at=change.at, now=change.now, reason=change.reason, invoicing=change.invoicing
        )
        preview: dict[str, Any] = {
            "subscription_id": subscription.public_id,
            "current_plan": phase.plan_version.plan if phase else change.plan,
            "target_plan": change.plan,
            "effective_date": change.at,
        } | write_effect(effect, subscription.currency)
        return Response(ChangePreview(preview).data)


class ChangeExecution(ApiView):
    """Change a subscription's plan, now or at the end of its billing period.

    If the change leaves something to pay, the difference is invoiced when the change takes effect, or with the next
    invoice if `invoicing` says so. A credit for unused fees goes on the next invoice.
    """

    write_scope = "customers:write"

    @operation(
        "executeSubscriptionChange",
        "Change a subscription's plan",
        refusals=RULES,
        tag=TAG,
        body=ChangeIn,
        answers={200: ChangeOut},
        errors=(400, 404),
        example=EXAMPLE,
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription = subscription_of(subscription_id)
        change = _read_change(request, subscription)
        change_plan(
            subscription,
            change.plan,
            at=change.at,
            now=change.now,
            by=None,
            reason=change.reason,
            invoicing=change.invoicing,
        )
        invoice = invoices().filter(subscription=subscription, kind=InvoiceKind.CHANGE, computed_at=change.now).first()
        is_scheduled = change.at > change.now
        schedules = list_schedules([subscription], change.now) if is_scheduled else []
        plan_change = next((one for one in schedules if one.change.kind == ScheduledKind.PLAN_CHANGE), None)
        answer = {
            "effective_date": change.at,
            "is_scheduled": is_scheduled,
            "schedule_id": plan_change.id if plan_change else None,
            "scheduled_at": change.at if is_scheduled else None,
            "invoice": InvoiceOut(invoice).data if invoice else None,
            "subscription": serialize_subscription(subscription),
        }
        return Response(dict.fromkeys(ChangeOut.nulls) | answer)


class PauseEffectOut(EffectOut):
    """From when on a pause or its end would apply, and what it does to invoices. Nothing is changed."""

    subscription_id = serializers.CharField()
    effective_date = serializers.DateTimeField()


def _preview(
    request: Request,
    subscription_id: str,
    reader: type[serializers.Serializer[Any]],
    change: Callable[[Subscription, Mapping[str, Any], datetime], datetime],
) -> Response:
    """Preview a change by its body: make it, calculate, and undo both."""
    subscription, body, now = subscription_of(subscription_id), read_body(request, reader), timezone.now()
    check_proration(subscription, body)
    moments: list[datetime] = []
    effect = preview_change(subscription, lambda: moments.append(change(subscription, body, now)), now=now)
    answer = {"subscription_id": subscription.public_id, "effective_date": moments[0]}
    return Response(PauseEffectOut(answer | write_effect(effect, subscription.currency)).data)


class PausePreview(ApiView):
    """Preview the effect of a pause on invoices. Nothing is changed."""

    is_reading = True

    @operation(
        "previewSubscriptionPause",
        "Preview a pause",
        refusals="`pause_start` is required for the mode scheduled, and `pause_end` must be after it. "
        "`proration_behavior` must be the subscription's.",
        tag=TAG,
        body=PauseIn,
        answers={200: PauseEffectOut},
        errors=(400, 404),
        example={"pause_mode": "period_end"},
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        return _preview(request, subscription_id, PauseIn, pause_by_body)


class ResumePreview(ApiView):
    """Preview the effect of resuming on invoices. Nothing is changed."""

    is_reading = True

    @operation(
        "previewSubscriptionResume",
        "Preview resuming a subscription",
        refusals="The subscription must be paused at that time. `proration_behavior` must be the subscription's. "
        "`reason` is required if `resume_at` is in the past.",
        tag=TAG,
        body=ResumeIn,
        answers={200: PauseEffectOut},
        errors=(400, 404),
        example={},
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        return _preview(request, subscription_id, ResumeIn, resume_by_body)
