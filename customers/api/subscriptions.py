"""API views for subscriptions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.names import PERIODS
from catalog.models import Plan
from catalog.selectors import Terms
from config.api.errors import InvalidRequest, invalid
from config.api.filters import Pages, apply_filters, comma_separated
from config.api.openapi import listed, operation, search_body
from config.api.views import ApiView, get_or_404, read_body
from customers.api.agreed_terms import agree_phases, orders_of, terms_of_body
from customers.api.bodies import CancelIn, PauseIn, ResumeIn, SubscriptionChange, SubscriptionIn
from customers.api.commitments import commitment_of
from customers.api.customers import FEATURES, customer_of_body
from customers.api.filters import SubscriptionFilter
from customers.api.names import CYCLES, PRORATIONS, PauseMode, net_days_of
from customers.api.serializers.grants import SubscriptionGrants
from customers.api.serializers.subscriptions import (
    CancelOut,
    PauseOut,
    SubscriptionDetails,
    SubscriptionOut,
    load_subscriptions,
    serialize_subscriptions,
)
from customers.grants import filter_grants, list_grants
from customers.models import Customer, Subscription
from customers.periods import Interval
from customers.signals import invoice_start, list_warnings, start_hooks
from customers.subscriptions import (
    cancel,
    cancel_at_period_end,
    commit_at_start,
    get_period_end,
    get_sellable_version,
    pause,
    resume,
    subscribe,
    undo_scheduled_cancellation,
)

TAG = "Subscriptions"
WRITE = "customers:write"
LIST = listed("SubscriptionList", SubscriptionOut)
REASON = "Through the API"
EXAMPLE = {
    "external_customer_id": "acme",
    "plan_id": "plan_1",
    "currency": "USD",
    "billing_period": "MONTHLY",
    "billing_cycle": "anniversary",
}


def subscription_of(subscription_id: str) -> Subscription:
    return get_or_404(Subscription.objects.select_related("customer"), "subscription", public_id=subscription_id)


def check_proration(subscription: Subscription, body: Mapping[str, Any]) -> None:
    """Refuse a body whose proration behavior differs from the subscription's."""
    behavior = body.get("proration_behavior")
    if behavior and PRORATIONS[behavior] != subscription.prorate:
        reason = "The proration behavior of a subscription can't be changed. Leave this field out."
        raise invalid({"proration_behavior": [reason]})


def serialize_subscription(subscription: Subscription) -> Any:
    """Serialize a subscription with its current status."""
    return serialize_subscriptions([subscription], now=timezone.now())[0]


def serialize_details(subscription: Subscription) -> Any:
    """Serialize a subscription with its current status and warnings about its charges."""
    now = timezone.now()
    [row] = load_subscriptions([subscription], now=now)
    row.now_warnings = list_warnings(subscription, now=now)
    return SubscriptionDetails(row).data


def listed_subscriptions(request: Request) -> Response:
    pages = Pages()
    rows = Subscription.objects.select_related("customer").order_by("-pk")
    cut = pages.paginate_queryset(apply_filters(request, rows, SubscriptionFilter), request) or []
    return pages.get_paginated_response(serialize_subscriptions(cut, now=timezone.now()))


def _check_payer(customer: Customer, inheritance: Mapping[str, Any]) -> None:
    """Refuse a body that has the invoices go to another customer than the one who pays for the customer."""
    named = inheritance.get("invoicing_customer_external_id")
    if named and named != (customer.parent or customer).external_id:
        reason = "Set the customer's parent_customer_external_id first: it applies to all its subscriptions."
        raise invalid({"inheritance.invoicing_customer_external_id": [reason]})


def past_without_reason(verb: str) -> InvalidRequest:
    """Make the 400 for a change of the past that has no reason."""
    return invalid(
        {"reason": [f"A reason is required to {verb} in the past, because fees invoiced since then are credited."]}
    )


class Subscriptions(ApiView):
    """Create or list subscriptions."""

    write_scope = WRITE

    @operation("listSubscriptions", "List subscriptions", tag=TAG, answers={200: LIST}, filters=SubscriptionFilter)
    def get(self, request: Request) -> Response:
        return listed_subscriptions(request)

    @operation(
        "createSubscription",
        "Create a subscription",
        refusals="Specify the customer by `customer_id` or `external_customer_id`. `start_date`, `trial_end` and "
        "`cancel_at` must be in this order, and `end_date` is the same as `cancel_at`, `trial_days` the same as "
        "`trial_period_days`: specify one of them, and none with `cancel_at_period_end` or `trial_end`. `timezone` "
        "must be an IANA name. `billing_anchor` needs the `billing_cycle` anniversary. `payment_terms` are 15 NET to "
        "90 NET. `coupons` and tax rates must exist, and the plan must have prices in this `currency` and "
        "`billing_period`. `override_line_items`, `include_price_ids` and `line_item_commitments` name prices of the "
        "plan, `override_entitlements` its entitlements; their fields must be those of the price's model. "
        "`line_items` have either a `price` or a `price_id`, and `tiers` either a `unit_amount` or a `rate_percent`. "
        "Usage has the subscription's `billing_period`, a fee can have a multiple of it. "
        "`commitment_duration` is whole billing periods; it, `commitment_invoice_cadence`, `enable_true_up` and "
        "`overage_factor` need `commitment_amount`. "
        "`addons` must exist and be compatible with the plan, and can't start before the subscription.",
        tag=TAG,
        body=SubscriptionIn,
        answers={201: SubscriptionDetails},
        errors=(400, 404, 409),
        example=EXAMPLE,
        description="The plan's prices in this currency and billing period are charged. Fails (400) if there are none. "
        "Fees in advance that are due at the start are invoiced at once.",
    )
    def post(self, request: Request) -> Response:
        body, now = read_body(request, SubscriptionIn), timezone.now()
        customer = customer_of_body(body)
        _check_payer(customer, body.get("inheritance") or {})
        with transaction.atomic():
            subscription = self._subscribe(customer, body, now)
            if body["cancel_at_period_end"]:
                cancel_at_period_end(subscription, now=now, by=None, reason=REASON)
            for start_hook in start_hooks:
                start_hook(subscription, body, now=now)
        invoice_start(subscription, now=now)
        return Response(serialize_details(subscription_of(subscription.public_id)), status=201)

    def _subscribe(self, customer: Customer, body: dict[str, Any], now: datetime) -> Subscription:
        plan = get_or_404(Plan.objects.all(), "plan", public_id=body["plan_id"])
        currency, interval = body["currency"].upper(), PERIODS[body["billing_period"]]
        terms = Terms(currency, interval, body["billing_period_count"])
        version = get_sellable_version(plan, terms, now=now, by=None)
        starts_at = body.get("start_date") or now
        subscription = subscribe(
            customer,
            version,
            currency=currency,
            interval=interval,
            interval_count=body["billing_period_count"],
            alignment=CYCLES[body["billing_cycle"]],
            starts_at=starts_at,
            anchor=body.get("billing_anchor"),
            trial_days=body.get("trial_period_days"),
            trial_ends_at=body.get("trial_end"),
            zone=body.get("timezone") or None,
            ends_at=body.get("end_date"),
            prorate=PRORATIONS[body.get("proration_behavior", "create_prorations")],
            key=body.get("lookup_key") or None,
            net_days=net_days_of(body.get("payment_terms") or ""),
            metadata=body.get("metadata"),
            terms=terms_of_body(body, version, terms),
            addons=orders_of(body, starts_at, now=now),
            now=now,
            by=None,
            reason=REASON,
        )
        commitment = commitment_of(body, Interval(interval, body["billing_period_count"]))
        if commitment is not None:
            commit_at_start(subscription, commitment, now=now, by=None, reason=REASON)
        agree_phases(subscription, body, version, now=now, reason=REASON)
        return subscription


class SubscriptionSearch(ApiView):
    """Search subscriptions."""

    is_reading = True

    @operation(
        "querySubscription", "Search subscriptions", tag=TAG, body=search_body(SubscriptionFilter), answers={200: LIST}
    )
    def post(self, request: Request) -> Response:
        return listed_subscriptions(request)


class OneSubscription(ApiView):
    """Retrieve a subscription with its current status, or set and undo its cancellation."""

    write_scope = WRITE

    @operation("getSubscription", "Retrieve a subscription", tag=TAG, answers={200: SubscriptionDetails}, errors=(404,))
    def get(self, request: Request, subscription_id: str) -> Response:
        return Response(serialize_details(subscription_of(subscription_id)))

    @operation(
        "updateSubscription",
        "Set or undo a subscription's cancellation",
        refusals="Specify either `cancel_at` or `cancel_at_period_end`.",
        tag=TAG,
        body=SubscriptionChange,
        answers={200: SubscriptionOut},
        errors=(400, 404),
        example={"cancel_at_period_end": False},
        description="Nothing changes if no cancellation is scheduled and none is requested.",
    )
    def put(self, request: Request, subscription_id: str) -> Response:
        subscription, body, now = (
            subscription_of(subscription_id),
            read_body(request, SubscriptionChange),
            timezone.now(),
        )
        reason = body.get("reason") or REASON
        if body.get("cancel_at_period_end"):
            cancel_at_period_end(subscription, now=now, by=None, reason=reason)
        elif body.get("cancel_at"):
            if body["cancel_at"] < now:
                raise invalid({"cancel_at": ["Must be in the future. To cancel in the past, use the cancel endpoint."]})
            cancel(subscription, at=body["cancel_at"], now=now, by=None, reason=reason)
        else:
            undo_scheduled_cancellation(subscription, now=now, by=None, reason=reason)
        return Response(serialize_subscription(subscription))


class SubscriptionCancel(ApiView):
    """Cancel a subscription now, at the end of its billing period, or on a date. Usage until then is invoiced."""

    write_scope = WRITE

    @operation(
        "cancelSubscription",
        "Cancel a subscription",
        refusals="`cancel_at` is required for the cancellation type scheduled_date.",
        tag=TAG,
        body=CancelIn,
        answers={200: CancelOut},
        errors=(400, 404),
        example={"cancellation_type": "end_of_period", "reason": "Moved to another product"},
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription, body, now = subscription_of(subscription_id), read_body(request, CancelIn), timezone.now()
        check_proration(subscription, body)
        kind, reason = body["cancellation_type"], body.get("reason") or ""
        if kind == "end_of_period":
            cancel_at_period_end(subscription, now=now, by=None, reason=reason or REASON)
        else:
            at = body["cancel_at"] if kind == "scheduled_date" else now
            if at < now and not reason:
                raise past_without_reason("cancel")
            cancel(subscription, at=at, now=now, by=None, reason=reason or REASON)
        state = serialize_subscription(subscription)["subscription_status"]
        answer = {
            "subscription_id": subscription.public_id,
            "cancellation_type": kind,
            "effective_date": subscription.ended_at,
            "processed_at": now,
            "status": state,
            "reason": reason,
            "message": "Subscription canceled" if state == "cancelled" else "Subscription ends at the effective date",
        }
        return Response(CancelOut(answer).data)


def pause_by_body(subscription: Subscription, body: Mapping[str, Any], now: datetime) -> datetime:
    """Pause a subscription as a body says, and return from when on."""
    starts_at: datetime = {
        PauseMode.IMMEDIATE: lambda: now,
        PauseMode.SCHEDULED: lambda: body["pause_start"],
        PauseMode.PERIOD_END: lambda: get_period_end(subscription, now),
    }[body["pause_mode"]]()
    if starts_at < now and not body.get("reason"):
        raise past_without_reason("pause")
    reason = body.get("reason") or REASON
    pause(subscription, at=starts_at, until=body.get("pause_end"), now=now, by=None, reason=reason)
    return starts_at


def resume_by_body(subscription: Subscription, body: Mapping[str, Any], now: datetime) -> datetime:
    """Resume a subscription as a body says, and return from when on."""
    at: datetime = body.get("resume_at") or now
    if at < now and not body.get("reason"):
        raise past_without_reason("resume")
    resume(subscription, at=at, now=now, by=None, reason=body.get("reason") or REASON)
    return at


class SubscriptionPause(ApiView):
    """Pause a subscription now, at the end of its billing period or trial, or at a set time, until it is resumed.

    Billing periods continue, without charges.
    """

    write_scope = WRITE

    @operation(
        "pauseSubscription",
        "Pause a subscription",
        refusals="`pause_start` is required for the mode scheduled, and `pause_end` must be after it.",
        tag=TAG,
        body=PauseIn,
        answers={200: PauseOut},
        errors=(400, 404),
        example={"reason": "Requested by the customer"},
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription, body, now = subscription_of(subscription_id), read_body(request, PauseIn), timezone.now()
        check_proration(subscription, body)
        pause_by_body(subscription, body, now)
        return Response(dict.fromkeys(PauseOut.nulls) | {"subscription": serialize_subscription(subscription)})


class SubscriptionResume(ApiView):
    """Resume a paused subscription, now or from a date on."""

    write_scope = WRITE

    @operation(
        "resumeSubscription",
        "Resume a subscription",
        refusals="`proration_behavior` must be the subscription's. `reason` is required if `resume_at` is in the past.",
        tag=TAG,
        body=ResumeIn,
        answers={200: PauseOut},
        errors=(400, 404),
        example={"reason": "Back from the break"},
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription, body, now = subscription_of(subscription_id), read_body(request, ResumeIn), timezone.now()
        check_proration(subscription, body)
        resume_by_body(subscription, body, now)
        return Response(dict.fromkeys(PauseOut.nulls) | {"subscription": serialize_subscription(subscription)})


class SubscriptionEntitlements(ApiView):
    """Retrieve a subscription's current entitlements."""

    @operation(
        "getSubscriptionEntitlements",
        "Retrieve a subscription's entitlements",
        tag=TAG,
        answers={200: SubscriptionGrants},
        errors=(404,),
        parameters=FEATURES,
    )
    def get(self, request: Request, subscription_id: str) -> Response:
        subscription = subscription_of(subscription_id)
        feature_ids = comma_separated(request.query_params, "feature_ids")
        grants = filter_grants(list_grants([subscription], now=timezone.now()), feature_ids)
        plan_id = serialize_subscription(subscription)["plan_id"]
        body = {"subscription_id": subscription.public_id, "plan_id": plan_id, "features": grants}
        return Response(SubscriptionGrants(body).data)
