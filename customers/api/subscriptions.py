"""The doors to subscriptions: begin, read, cancel, pause, resume."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.names import PERIODS
from catalog.models import Plan
from config.api.filters import Pages
from config.api.filters import apply_filters as chosen_rows
from config.api.openapi import listed, operation, search_body
from config.api.views import ApiView, get_or_404, invalid, read_body
from customers.api.bodies import CancelIn, PauseIn, ResumeIn, SubscriptionIn
from customers.api.customers import customer_by_external_id, customer_of, grants_out
from customers.api.filters import SubscriptionFilter
from customers.api.names import CYCLES, PRORATIONS, net_days_of
from customers.api.serializers import CancelOut, PauseOut, SubscriptionGrants, SubscriptionOut, serialize_subscriptions
from customers.grants import filter_grants, list_grants
from customers.models import Customer, Subscription
from customers.signals import start_hooks
from customers.subscriptions import cancel, cancel_at_period_end, pause, resume, subscribe

TAG = "Subscriptions"
WRITE = "customers:write"
LIST = listed("SubscriptionList", SubscriptionOut)
REASON = "Through the API"
EXAMPLE = {
    "external_customer_id": "acme", "plan_id": "plan_1", "currency": "USD", "billing_period": "MONTHLY",
    "billing_cycle": "anniversary",
}  # fmt: skip


def subscription_of(subscription_id: str) -> Subscription:
    return get_or_404(Subscription.objects.select_related("customer"), "subscription", public_id=subscription_id)


def shown_one(subscription: Subscription) -> Any:
    """Write one subscription as it stands now."""
    return serialize_subscriptions([subscription], now=timezone.now())[0]


def listed_subscriptions(request: Request) -> Response:
    pages = Pages()
    rows = Subscription.objects.select_related("customer").order_by("-pk")
    cut = pages.paginate_queryset(chosen_rows(request, rows, SubscriptionFilter), request) or []
    return pages.get_paginated_response(serialize_subscriptions(cut, now=timezone.now()))


class Subscriptions(ApiView):
    """Subscribe a customer to a plan, or list subscriptions."""

    write_scope = WRITE

    @operation("listSubscriptions", "List subscriptions", tag=TAG, answers={200: LIST}, filters=SubscriptionFilter)
    def get(self, request: Request) -> Response:
        return listed_subscriptions(request)

    @operation(
        "createSubscription", "Subscribe a customer to a plan", tag=TAG, body=SubscriptionIn,
        answers={201: SubscriptionOut}, errors=(400, 404, 409), example=EXAMPLE,
        description="Only prices of the plan in this currency and billing period are charged; none: 400.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        asked, now = read_body(request, SubscriptionIn), timezone.now()
        known = asked.get("customer_id")
        customer = customer_of(known) if known else customer_by_external_id(asked["external_customer_id"])
        with transaction.atomic():
            subscription = self._begin(customer, asked, now)
            for beginning in start_hooks:
                beginning(subscription, asked, now=now)
        return Response(shown_one(subscription_of(subscription.public_id)), status=201)

    def _begin(self, customer: Customer, asked: dict[str, Any], now: datetime) -> Subscription:
        return subscribe(
            customer,
            get_or_404(Plan.objects.all(), "plan", public_id=asked["plan_id"]),
            currency=asked["currency"].upper(),
            interval=PERIODS[asked["billing_period"]],
            interval_count=asked["billing_period_count"],
            alignment=CYCLES[asked["billing_cycle"]],
            starts_at=asked.get("start_date") or now,
            anchor=asked.get("billing_anchor"),
            trial_days=asked.get("trial_period_days"),
            ends_at=asked.get("end_date"),
            prorate=PRORATIONS[asked.get("proration_behavior", "create_prorations")],
            key=asked.get("lookup_key") or None,
            net_days=net_days_of(asked.get("payment_terms") or ""),
            metadata=asked.get("metadata"),
            now=now,
            by=None,
            reason=REASON,
        )


class SubscriptionSearch(ApiView):
    """Find subscriptions by a body. Only reads."""

    is_reading = True

    @operation("querySubscription", "Search subscriptions", tag=TAG, body=search_body(SubscriptionFilter),
               answers={200: LIST})  # fmt: skip
    def post(self, request: Request) -> Response:
        return listed_subscriptions(request)


class OneSubscription(ApiView):
    """Read a subscription as it stands now."""

    @operation("getSubscription", "Read a subscription", tag=TAG, answers={200: SubscriptionOut}, errors=(404,))
    def get(self, request: Request, subscription_id: str) -> Response:
        return Response(shown_one(subscription_of(subscription_id)))


class SubscriptionCancel(ApiView):
    """End a subscription: now, with its billing period, or at a date. What was used until then is invoiced."""

    write_scope = WRITE

    @operation(
        "cancelSubscription", "Cancel a subscription", tag=TAG, body=CancelIn, answers={200: CancelOut},
        errors=(400, 404), example={"cancellation_type": "end_of_period", "reason": "Moved to another product"},
    )  # fmt: skip
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription, asked, now = subscription_of(subscription_id), read_body(request, CancelIn), timezone.now()
        kind, reason = asked["cancellation_type"], asked.get("reason") or ""
        if kind == "end_of_period":
            cancel_at_period_end(subscription, now=now, by=None, reason=reason or REASON)
        else:
            at = asked["cancel_at"] if kind == "scheduled_date" else now
            if at < now and not reason:
                raise invalid(
                    {"reason": ["Say why it ends in the past: the fees invoiced for the time since are credited."]}
                )
            cancel(subscription, at=at, now=now, by=None, reason=reason or REASON)
        state = shown_one(subscription)["subscription_status"]
        answer = {
            "subscription_id": subscription.public_id,
            "cancellation_type": kind,
            "effective_date": subscription.ended_at,
            "processed_at": now,
            "status": state,
            "reason": reason,
            "message": "Subscription cancelled" if state == "cancelled" else "Subscription ends at the effective date",
        }
        return Response(CancelOut(answer).data)


class SubscriptionPause(ApiView):
    """Stop serving and charging from now on, until it is resumed. The billing rhythm goes on."""

    write_scope = WRITE

    @operation("pauseSubscription", "Pause a subscription", tag=TAG, body=PauseIn, answers={200: PauseOut},
               errors=(400, 404), example={"reason": "Asked by the customer"})  # fmt: skip
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription, asked, now = subscription_of(subscription_id), read_body(request, PauseIn), timezone.now()
        reason = asked.get("reason") or REASON
        pause(subscription, at=now, until=asked.get("pause_end"), now=now, by=None, reason=reason)
        return Response({"subscription": shown_one(subscription)})


class SubscriptionResume(ApiView):
    """Serve and charge a paused subscription again from now on."""

    write_scope = WRITE

    @operation("resumeSubscription", "Resume a subscription", tag=TAG, body=ResumeIn, answers={200: PauseOut},
               errors=(400, 404), example={"reason": "Back from the break"})  # fmt: skip
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription, asked, now = subscription_of(subscription_id), read_body(request, ResumeIn), timezone.now()
        resume(subscription, at=now, now=now, by=None, reason=asked.get("reason") or REASON)
        return Response({"subscription": shown_one(subscription)})


class SubscriptionEntitlements(ApiView):
    """Tell what a subscription grants now."""

    @operation("getSubscriptionEntitlements", "What a subscription grants", tag=TAG,
               answers={200: SubscriptionGrants}, errors=(404,))  # fmt: skip
    def get(self, request: Request, subscription_id: str) -> Response:
        subscription = subscription_of(subscription_id)
        wanted = [part for value in request.query_params.getlist("feature_ids") for part in value.split(",") if part]
        features = grants_out(filter_grants(list_grants([subscription], now=timezone.now()), wanted))
        plan = shown_one(subscription)["plan_id"]
        return Response({"subscription_id": subscription.public_id, "plan_id": plan, "features": features})
