"""Add add-ons to a subscription, and remove them: now, later, or earlier with a reason."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from catalog.agreed import TermsEdit, agree
from catalog.agreed.storing import write_edits
from catalog.models import Plan, PlanVersion
from catalog.publishing import PlanArchived, get_published_version
from catalog.selectors import Terms, prices_on_terms
from config.approvals.gate import Action, require_approval
from config.approvals.kinds import ApprovalKind, Operation
from config.audit import recorded
from config.refusals import Refused
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit
from customers.kinds import ChangeInvoicing
from customers.models import Subscription, SubscriptionAddon
from customers.signals import invoice_change
from customers.subscriptions.locking import find_span, lock_subscription
from customers.subscriptions.phases import read_chain, write_chain
from customers.subscriptions.refusals import EndsBeforeStart, NoMatchingPrice


class TooManyAddons(Refused):
    """The subscription has the add-on as often as is allowed."""


class AddonEnded(Refused):
    """The add-on ends before that time already."""


@dataclass(frozen=True, slots=True)
class AddonOrder:
    """An add-on to add: from `at` on, until `until` if it isn't None. `edits` are agreed instead of its list prices."""

    addon: Plan | PlanVersion
    at: datetime
    until: datetime | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    edits: Sequence[TermsEdit] = ()


def add_addon(
    subscription: Subscription,
    addon: Plan | PlanVersion,
    *,
    at: datetime,
    until: datetime | None = None,
    metadata: dict[str, Any] | None = None,
    now: datetime,
    by: User | None,
    reason: str = "",
    invoicing: ChangeInvoicing = ChangeInvoicing.NEXT_INVOICE,
    edits: Sequence[TermsEdit] = (),
) -> SubscriptionAddon:
    """Add an add-on from a moment on: its newest published version. Its draft is published first, unless on hold.

    A second call adds it a second time. `invoicing` is when its fees in advance are invoiced. `edits` are agreed with
    this subscription instead of the add-on's prices. Raises NotYetStarted, SubscriptionEnded, EndsBeforeStart,
    PlanArchived, NothingPublished, NoMatchingPrice, AddonNotCompatible, TooManyAddons, ReasonRequired, NotInTerms,
    QuantityNotAllowed, ValidationError for a draft or prices that can't be published, and ApprovalNeeded for agreed
    prices where publishing prices needs approval.
    """
    order = AddonOrder(addon, at, until, metadata or {}, edits)
    with lock_subscription(subscription, by=by) as locked:
        chain = read_chain(locked)
        find_span(locked, chain, at)
        if any(edit.changes_prices for edit in edits):
            require_approval(_describe(locked, order, reason, invoicing), by=by)
        [row] = save_addons(locked, [order], now=now, by=by, reason=reason)
        if write_chain(locked, chain, now=now, by=by, reason=reason) and invoicing == ChangeInvoicing.IMMEDIATE:
            invoice_change(locked, at=at, now=now)
        emit(WebhookEvent.SUBSCRIPTION_UPDATED, "subscription", [locked.pk], at=now)
    return row


def save_addons(
    subscription: Subscription, orders: Sequence[AddonOrder], *, now: datetime, by: User | None, reason: str
) -> list[SubscriptionAddon]:
    """Save add-ons of a subscription, whose chain the caller writes afterwards. Raises what `add_addon` raises."""
    rows = []
    for order in orders:
        if order.until is not None and order.until < order.at:
            raise EndsBeforeStart("The add-on ends before it starts.")
        version = _sellable_version(subscription, order.addon, now=now, by=by)
        if order.edits:
            changes = {edit.key for edit in order.edits}
            agreed_for = subscription.public_id
            version = agree(version, order.edits, agreed_for=agreed_for, changes=changes, now=now, by=by, reason=reason)
        row = SubscriptionAddon(
            subscription=subscription,
            version=version,
            starts_at=order.at,
            ends_at=order.until,
            reason=reason,
            metadata=order.metadata,
            created_by=by,
        )
        _refuse_too_many(row)
        with recorded(by=by, reason=reason):
            row.save()
        rows.append(row)
    return rows


def _describe(subscription: Subscription, order: AddonOrder, reason: str, invoicing: ChangeInvoicing) -> Action:
    is_version = isinstance(order.addon, PlanVersion)
    return Action(
        Operation.ADD_ADDON,
        [ApprovalKind.PRICES],
        [subscription],
        {
            "addon": order.addon.pk,
            "is_version": is_version,
            "edits": write_edits(order.edits),
            "at": order.at.isoformat(),
            "until": order.until.isoformat() if order.until else None,
            "metadata": order.metadata,
            "invoicing": invoicing.value,
            "reason": reason,
        },
        title=f"Add {order.addon} to {subscription} at agreed prices",
        effect=f"{len(order.edits)} of its prices are agreed, from {order.at:%Y-%m-%d %H:%M} UTC on.",
    )


def remove_addon(
    row: SubscriptionAddon,
    *,
    at: datetime,
    now: datetime,
    by: User | None,
    reason: str = "",
    invoicing: ChangeInvoicing = ChangeInvoicing.NEXT_INVOICE,
) -> SubscriptionAddon:
    """Remove an add-on from a moment on: its fees in advance are credited by the day. Before its start, it never was.

    Raises AddonEnded if it ends before that moment, SubscriptionEnded, ReasonRequired.
    """
    subscription = row.subscription
    with lock_subscription(subscription, by=by) as locked:
        row = SubscriptionAddon.objects.select_related("version__plan").get(pk=row.pk)
        at = max(at, row.starts_at)
        if row.ends_at is not None and row.ends_at <= at:
            if row.ends_at == at:
                return row
            raise AddonEnded(f"{row.version.plan} ends on {row.ends_at:%Y-%m-%d %H:%M} UTC already.")
        chain = read_chain(locked)
        find_span(locked, chain, at)
        row.ends_at, row.removed_at, row.reason = at, now, reason or row.reason
        with recorded(by=by, reason=reason):
            row.save(update_fields=["ends_at", "removed_at", "reason", "updated_at"])
        if write_chain(locked, chain, now=now, by=by, reason=reason) and invoicing == ChangeInvoicing.IMMEDIATE:
            invoice_change(locked, at=at, now=now)
        emit(WebhookEvent.SUBSCRIPTION_UPDATED, "subscription", [locked.pk], at=now)
    return row


def _sellable_version(
    subscription: Subscription, addon: Plan | PlanVersion, *, now: datetime, by: User | None
) -> PlanVersion:
    version = addon if isinstance(addon, PlanVersion) else get_published_version(addon, now=now, by=by)
    if version.plan.archived_at is not None:
        raise PlanArchived(f"{addon} is archived. Activate it before you sell it.")
    terms = Terms(subscription.currency, subscription.interval, subscription.interval_count)
    if not prices_on_terms(version, terms).exists() and version.prices.exists():
        raise NoMatchingPrice(f"{version} has no price in {terms}, which the subscription is billed in.")
    return version


def _refuse_too_many(row: SubscriptionAddon) -> None:
    """Raise TooManyAddons if the subscription would have an add-on more often than its maximum, at any time."""
    addon = row.version.plan
    if addon.maximum is None:
        return
    others = SubscriptionAddon.objects.filter(subscription=row.subscription, version__plan=addon)
    rows = [row, *others]
    starts = [other.starts_at for other in rows if row.covers(other.starts_at)]
    most = max((sum(other.covers(at) for other in rows) for at in starts), default=0)
    if most > addon.maximum:
        raise TooManyAddons(f"The subscription can have {addon} at most {addon.maximum} times at the same time.")
