"""Start subscriptions."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from catalog.agreed import TermsEdit
from catalog.models import Plan, PlanVersion
from catalog.models.plans import PlanState
from catalog.publishing import NothingPublished, PlanArchived, get_published_version
from catalog.selectors import Terms, list_offered_terms, prices_on_terms
from catalog.signals import after_commit
from config.audit import recorded
from config.refusals import Refused
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit
from customers.models import Alignment, Customer, CustomerState, PhaseKind, Subscription
from customers.periods import Interval, Schedule
from customers.signals import subscription_changed
from customers.subscriptions.addons import AddonOrder, save_addons
from customers.subscriptions.chain import Chain, PhaseSpan
from customers.subscriptions.phases import write_chain
from customers.subscriptions.refusals import EndsBeforeStart, NoMatchingPrice
from customers.subscriptions.terms import agree_at_start, check_approval_at_start


class CustomerArchived(Refused):
    """The customer is archived: activate it first."""


class VersionNotPublished(Refused):
    """The version is a draft, which has no subscribers: publish it first."""


@transaction.atomic
def subscribe(
    customer: Customer,
    plan: Plan | PlanVersion,
    *,
    currency: str,
    interval: str,
    interval_count: int = 1,
    alignment: str = Alignment.ANNIVERSARY,
    starts_at: datetime,
    anchor: datetime | None = None,
    trial_days: int | None = None,
    trial_ends_at: datetime | None = None,
    zone: str | None = None,
    ends_at: datetime | None = None,
    prorate: bool = True,
    key: str | None = None,
    net_days: int | None = None,
    metadata: dict[str, Any] | None = None,
    terms: Sequence[TermsEdit] = (),
    addons: Sequence[AddonOrder] = (),
    now: datetime,
    by: User | None,
    reason: str = "",
) -> Subscription:
    """Subscribe a customer to a plan from `starts_at` (past or future) until `ends_at`, which is excluded.

    For a plan, its newest published version is used. Its draft is published first, unless the draft is on hold. The
    time zone is `zone`, by default the customer's. Periods are counted from `anchor`; if that is None, from the trial's
    end, or from the start without a trial. Calendar alignment moves the anchor back to the start of the local calendar
    period. The trial ends at `trial_ends_at`, or after `trial_days` local calendar days; without both, it has the
    version's length. `terms` are agreed from the start on, instead of the plan's, and `addons` are added. A second call
    creates a second subscription.

    Raises CustomerArchived, PlanArchived, NothingPublished, VersionNotPublished, NoMatchingPrice, EndsBeforeStart,
    NotInTerms, QuantityNotAllowed, TermsNeedApproval, AddonNotCompatible, TooManyAddons, and ValidationError for an
    invalid field, or for a draft or agreed prices that can't be published.
    """
    customer = Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
    if customer.state == CustomerState.ARCHIVED:
        raise CustomerArchived(f"{customer} is archived. Activate the customer first.")
    version = get_sellable_version(plan, Terms(currency, interval, interval_count), now=now, by=by)
    zone = zone or customer.timezone
    if trial_ends_at is None:
        days = version.trial_days if trial_days is None else trial_days
        trial_ends_at = Schedule(Interval("day", days), starts_at, zone).boundary(1) if days else None
    elif trial_ends_at <= starts_at:
        raise EndsBeforeStart("The trial ends before the subscription starts.")
    if ends_at is not None and ends_at <= starts_at:
        raise EndsBeforeStart("The subscription ends before it starts.")
    schedule = Schedule(Interval(interval, interval_count), starts_at, zone)
    subscription = Subscription(
        customer=customer,
        key=key,
        currency=currency,
        interval=interval,
        interval_count=interval_count,
        alignment=alignment,
        anchor=_align_anchor(schedule, alignment, anchor or trial_ends_at or starts_at),
        timezone=zone,
        started_at=starts_at,
        ended_at=ends_at,
        prorate=prorate,
        net_days=net_days,
        metadata=metadata or {},
        created_by=by,
    )
    subscription.full_clean(exclude=["customer", "created_by"])
    with recorded(by=by, reason=reason):
        subscription.save()
    version = agree_at_start(subscription, version, terms, now=now, by=by, reason=reason)
    chain = _make_first_chain(version, starts_at, trial_ends_at, ends_at)
    check_approval_at_start(subscription, [edit for order in addons for edit in order.edits], by=by)
    save_addons(subscription, addons, now=now, by=by, reason=reason)
    write_chain(subscription, chain, now=now, by=by, reason=reason)
    emit(WebhookEvent.SUBSCRIPTION_CREATED, "subscription", [subscription.pk], at=now)
    after_commit(subscription_changed, Subscription, subscription=subscription, by=by)
    return subscription


def get_sellable_version(plan: Plan | PlanVersion, terms: Terms, *, now: datetime, by: User | None) -> PlanVersion:
    """Return the published version to sell on these terms. A plan's draft is published first, unless it is on hold.

    Raises PlanArchived, NothingPublished, VersionNotPublished, ValidationError, and NoMatchingPrice, which lists the
    terms that the version has prices for.
    """
    if isinstance(plan, PlanVersion):
        version = plan
        if not version.is_published:
            raise VersionNotPublished(f"{version} is a draft. Publish it first.")
    else:
        version = get_published_version(plan, now=now, by=by)
    if version.plan.is_addon:
        raise NothingPublished(f"{version.plan} is an add-on. Subscribe to a plan, then add it.")
    if version.plan.state == PlanState.ARCHIVED:
        raise PlanArchived(f"{version.plan} is archived. Activate it before you sell it.")
    if not prices_on_terms(version, terms).exists():
        offered = ", ".join(map(str, list_offered_terms(version))) or "none"
        raise NoMatchingPrice(f"{version} has no price in {terms}. Available prices: {offered}.")
    return version


def _align_anchor(schedule: Schedule, alignment: str, at: datetime) -> datetime:
    if alignment == Alignment.CALENDAR:
        return replace(schedule, anchor=at, alignment=Alignment.CALENDAR).boundary(0)
    return at


def _make_first_chain(
    version: PlanVersion, starts_at: datetime, trial_ends_at: datetime | None, ends_at: datetime | None
) -> Chain:
    if trial_ends_at is None:
        return [PhaseSpan(PhaseKind.ACTIVE, version.pk, starts_at, ends_at)]
    if ends_at is not None and ends_at <= trial_ends_at:
        return [PhaseSpan(PhaseKind.TRIAL, version.pk, starts_at, ends_at)]
    return [
        PhaseSpan(PhaseKind.TRIAL, version.pk, starts_at, trial_ends_at),
        PhaseSpan(PhaseKind.ACTIVE, version.pk, trial_ends_at, ends_at),
    ]
