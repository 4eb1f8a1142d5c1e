"""The fixes for usage that is counted but not billed: price the feature in the plan, or subscribe the customer."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.auth.models import User
from django.db import transaction

from catalog.agreed import PriceAddition
from catalog.models import Feature, Plan, PlanVersion, Price
from catalog.models.plans import VersionState
from catalog.models.prices import PriceKind, PriceModel
from catalog.publishing import get_or_create_draft, publish_at_once
from catalog.selectors import Terms, fees, list_offered_terms
from catalog.wording import describe_price
from config.approvals.gate import ApprovalNeeded
from config.office.wording import local_day
from customers.models import Customer, Subscription
from customers.periods import NoSuchPeriod
from customers.signals import invoice_start
from customers.subscriptions import agree_terms, change_plan, get_billing_period, get_phase_at, subscribe
from events.fixing.base import Action, Field, FieldKind, FixRefused, parse_moment


class AddToPlan(Action):
    """Publish a version of the plan that prices the feature per unit, and move the subscription to it.

    If terms are agreed with the subscription, the price is added to these, and the plan stays.
    """

    name = "add_to_plan"
    permissions = ("catalog.add_price", "catalog.add_planversion", "customers.change_subscription")

    def title(self) -> str:
        plan = self._plan()
        return f"Add {self.row(Feature, 'feature')} to a new version of {plan}"

    def fields(self) -> tuple[Field, ...]:
        subscription = self.row(Subscription, "subscription")
        period_choice = f"from {self._period_start():%Y-%m-%d %H:%M} UTC, the start of the event's period"
        interval = subscription.get_interval_display().lower()
        return (
            Field("unit_amount", f"Price of one unit ({subscription.currency}, {interval})", kind=FieldKind.NUMBER),
            Field(
                "since",
                "Move the subscription",
                "period",
                FieldKind.CHOICE,
                "The new version prices usage from then on; existing invoices don't change.",
                (("period", period_choice), ("now", "from now on")),
            ),
        )

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        subscription, feature, plan = self.row(Subscription, "subscription"), self.row(Feature, "feature"), self._plan()
        at = now if self.text("since") == "now" else self._period_start()
        phase = get_phase_at(subscription, at)
        if phase is not None and phase.plan_version.terms.base_id is not None:
            # A new plan version would end what is agreed.
            addition = PriceAddition(self._columns(subscription, feature))
            try:
                agree_terms(subscription, [addition], at=at, now=now, by=by, reason=reason)
            except ApprovalNeeded as needed:
                raise FixRefused(
                    "Agreed prices need approval: add the price with “Agree terms” of the subscription."
                ) from needed
            return
        if plan.versions.filter(state=VersionState.DRAFT).exists():
            raise FixRefused(
                f"{plan} already has a draft. Add the feature to the draft and publish it, so that no changes are lost."
            )
        with transaction.atomic():
            draft = get_or_create_draft(plan, by=by, held=True)
            price = Price(version=draft, **self._columns(subscription, feature))
            price.full_clean(exclude=["version", "feature"])
            price.save()
            publish_at_once(draft, now=now, by=by, reason=reason)
            change_plan(subscription, draft, at=at, now=now, by=by, reason=reason)

    def _columns(self, subscription: Subscription, feature: Feature) -> dict[str, Any]:
        return {
            "kind": PriceKind.USAGE,
            "feature": feature,
            "currency": subscription.currency,
            "interval": subscription.interval,
            "interval_count": subscription.interval_count,
            "model": PriceModel.PER_UNIT,
            "unit_amount": self._unit_amount(),
        }

    def concerns(self) -> list[tuple[int, int, datetime]]:
        subscription = self.row(Subscription, "subscription")
        return [(subscription.customer_id, self.row(Feature, "feature").pk, self._moment())]

    def _moment(self) -> datetime:
        return parse_moment(self.text("at"))

    def _period_start(self) -> datetime:
        try:
            return get_billing_period(self.row(Subscription, "subscription"), self._moment()).start
        except NoSuchPeriod as error:
            raise FixRefused("The subscription was canceled before it started, so it has no billing period.") from error

    def _plan(self) -> Plan:
        phase = get_phase_at(self.row(Subscription, "subscription"), self._moment())
        if phase is None:
            raise FixRefused("The subscription had no plan at that time.")
        return phase.plan_version.plan

    def _unit_amount(self) -> Decimal:
        try:
            amount = Decimal(self.text("unit_amount"))
        except InvalidOperation as error:
            raise FixRefused("Enter the unit price as a number, for example 0.002.") from error
        if not amount.is_finite() or amount < 0:
            raise FixRefused("The unit price can't be negative.")
        return amount


class CreateSubscription(Action):
    """Subscribe the `customer` to a plan. Times are in the customer's time zone, unless they have an offset."""

    name = "create_subscription"
    permissions = ("customers.add_subscription",)

    def title(self) -> str:
        return f"Subscribe {self._customer()}"

    def fields(self) -> tuple[Field, ...]:
        customer = self._customer()
        plans = tuple(plans_on_offer(customer))
        month = self._moment().astimezone(ZoneInfo(customer.timezone)).replace(day=1, hour=0, minute=0)
        return (
            Field("plan", "Plan", plans[0][0] if len(plans) == 1 else "", FieldKind.CHOICE, choices=plans),
            Field(
                "starts_at",
                f"Starts at ({customer.timezone})",
                f"{month:%Y-%m-%dT%H:%M}",
                FieldKind.MOMENT,
                "At or before the event's time, so that the event is billed. Billing periods start here.",
                zone=customer.timezone,
            ),
        )

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        version, terms = self._version_and_terms()
        subscription = subscribe(
            self._customer(),
            version,
            currency=terms.currency,
            interval=terms.interval,
            interval_count=terms.interval_count,
            starts_at=self._starts_at(),
            now=now,
            by=by,
            reason=reason,
        )
        # A preview is undone, so that it invoices nothing.
        transaction.on_commit(partial(invoice_start, subscription, now=now))

    def notes(self, *, now: datetime) -> tuple[str, ...]:
        """Say which fees and which trial start with the subscription."""
        version, terms = self._version_and_terms()
        customer, starts_at = self._customer(), self._starts_at()
        since = f"{local_day(starts_at, customer.timezone)} ({customer.timezone})"
        notes = [
            f"A fee starts: {price.name or version.plan.name}, {describe_price(price)}, from {since}."
            for price in fees(version, terms)
        ] or ["The plan has no recurring fee: only usage is charged."]
        if version.trial_days:
            notes.append(f"It starts with a trial of {version.trial_days} days, which are free of charge.")
        if starts_at < now:
            notes.append("A fee in advance is invoiced at once, what else is due since then by the next billing run.")
        return tuple(notes)

    def concerns(self) -> list[tuple[int, int, datetime]]:
        version, _ = self._version_and_terms()
        features = version.prices.filter(feature__isnull=False).values_list("feature_id", flat=True)
        return [(self._customer().pk, pk, self._moment()) for pk in sorted({pk for pk in features if pk})]

    def _customer(self) -> Customer:
        return self.row(Customer, "customer")

    def _moment(self) -> datetime:
        """Return the time of the event that isn't billed; without one, the chosen start."""
        return parse_moment(self.text("at")) if self.text("at") else self._starts_at()

    def _starts_at(self) -> datetime:
        return parse_moment(self.text("starts_at"), self._customer().timezone)

    def _version_and_terms(self) -> tuple[PlanVersion, Terms]:
        """Return the plan's newest published version. Its draft is published by hand only."""
        parts = self.text("plan").split("|")
        plan = Plan.objects.filter(pk=int(parts[0])).first() if parts[0].isdecimal() else None
        if plan is None or len(parts) != 4 or not parts[3].isdecimal():
            raise FixRefused("Choose a plan.")
        version = newest_published(plan)
        if version is None:
            raise FixRefused(f"{plan} has no published version.")
        return version, Terms(parts[1], parts[2], int(parts[3]))


def plans_on_offer(customer: Customer) -> list[tuple[str, str]]:
    """List the active plans with each of their terms, as choices: only in the customer's currencies, if there are any.

    These are the currencies of the customer's subscriptions; without one, the currency for new subscriptions.
    """
    used = set(customer.subscriptions.values_list("currency", flat=True)) or {customer.billing_currency}
    offers = [
        (version, terms)
        for plan in Plan.objects.filter(state="active").prefetch_related("versions")[:100]
        if (version := newest_published(plan)) is not None
        for terms in list_offered_terms(version)
    ]
    usual = [(version, terms) for version, terms in offers if terms.currency in used]
    return [
        (f"{version.plan_id}|{terms.currency}|{terms.interval}|{terms.interval_count}", f"{version} · {terms}")
        for version, terms in usual or offers
    ]


def newest_published(plan: Plan) -> PlanVersion | None:
    """Return the version that new subscriptions get, from the plan's loaded versions."""
    published = [version for version in plan.versions.all() if version.is_published]
    return max(published, key=lambda version: version.number, default=None)
