"""The fixes for usage that is counted but not billed: price the feature in the plan, or subscribe the customer."""

from datetime import datetime
from decimal import Decimal, InvalidOperation

from django.contrib.auth.models import User
from django.db import transaction

from catalog.models import Feature, Plan, Price
from catalog.models.plans import VersionState
from catalog.models.prices import PriceKind, PriceModel
from catalog.publishing import get_or_create_draft, publish
from catalog.selectors import Terms, list_offered_terms
from customers.models import Customer, Subscription
from customers.periods import NoSuchPeriod
from customers.subscriptions import change_plan, get_billing_period, get_phase_at, subscribe
from events.fixing.base import Action, Field, FieldKind, FixRefused, parse_moment


class AddToPlan(Action):
    """Publish a version of the plan that prices the feature per unit, and move the subscription to it."""

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
        if plan.versions.filter(state=VersionState.DRAFT).exists():
            raise FixRefused(
                f"{plan} already has a draft. Add the feature to the draft and publish it, so that no changes are lost."
            )
        with transaction.atomic():
            draft = get_or_create_draft(plan, by=by, held=True)
            price = Price(
                version=draft,
                kind=PriceKind.USAGE,
                feature=feature,
                currency=subscription.currency,
                interval=subscription.interval,
                interval_count=subscription.interval_count,
                model=PriceModel.PER_UNIT,
                unit_amount=self._unit_amount(),
            )
            price.full_clean(exclude=["version", "feature"])
            price.save()
            publish(draft, now=now, by=by, reason=reason)
            at = now if self.text("since") == "now" else self._period_start()
            change_plan(subscription, draft, at=at, now=now, by=by, reason=reason)

    def concerns(self) -> list[tuple[int, int, datetime]]:
        subscription = self.row(Subscription, "subscription")
        return [(subscription.customer_id, self.row(Feature, "feature").pk, self._moment())]

    def _moment(self) -> datetime:
        return parse_moment(self.text("at"))

    def _period_start(self) -> datetime:
        try:
            return get_billing_period(self.row(Subscription, "subscription"), self._moment()).start
        except NoSuchPeriod as error:
            raise FixRefused(
                "The subscription was cancelled before it started, so it has no billing period."
            ) from error

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
    name = "create_subscription"
    permissions = ("customers.add_subscription",)

    def title(self) -> str:
        return f"Subscribe {self.row(Customer, 'customer')}"

    def fields(self) -> tuple[Field, ...]:
        starts_at = parse_moment(self.text("starts_at"))
        month = starts_at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return (
            Field("plan", "Plan", kind=FieldKind.CHOICE, choices=tuple(plans_on_offer())),
            Field(
                "starts_at",
                "Starts at (UTC)",
                f"{month:%Y-%m-%dT%H:%M}",
                FieldKind.MOMENT,
                "At or before the event's time, so that the event is billed. Billing periods start here.",
            ),
        )

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        plan, terms = self._plan_and_terms()
        subscribe(
            self.row(Customer, "customer"),
            plan,
            currency=terms.currency,
            interval=terms.interval,
            interval_count=terms.interval_count,
            starts_at=parse_moment(self.text("starts_at")),
            now=now,
            by=by,
            reason=reason,
        )

    def concerns(self) -> list[tuple[int, int, datetime]]:
        customer, at = self.row(Customer, "customer"), parse_moment(self.text("at") or self.text("starts_at"))
        plan, _ = self._plan_and_terms()
        features = Price.objects.filter(version__plan=plan, feature__isnull=False).values_list("feature_id", flat=True)
        return [(customer.pk, feature, at) for feature in sorted({pk for pk in features if pk})]

    def _plan_and_terms(self) -> tuple[Plan, Terms]:
        parts = self.text("plan").split("|")
        plan = Plan.objects.filter(pk=int(parts[0])).first() if parts[0].isdecimal() else None
        if plan is None or len(parts) != 4 or not parts[3].isdecimal():
            raise FixRefused("Choose a plan.")
        return plan, Terms(parts[1], parts[2], int(parts[3]))


def plans_on_offer() -> list[tuple[str, str]]:
    """List the active plans with each of their terms, as choices."""
    choices = []
    for plan in Plan.objects.filter(state="active").prefetch_related("versions")[:100]:
        versions = [version for version in plan.versions.all() if version.is_published]
        if versions:
            newest = max(versions, key=lambda version: version.number)
            choices += [
                (f"{plan.pk}|{terms.currency}|{terms.interval}|{terms.interval_count}", f"{newest} · {terms}")
                for terms in list_offered_terms(newest)
            ]
    return choices
