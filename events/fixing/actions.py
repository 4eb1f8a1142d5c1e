"""The fixes that can be applied with a click: what each changes, and which events wait for it.

An action is made from a step's parameters and what staff filled in. `apply` only makes the change; previewing,
replaying and proving are in `events.fixing`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from catalog.features import accept_numeric_strings, activate_feature, map_event_name
from catalog.models import Feature, Plan, Price
from catalog.models.plans import VersionState
from catalog.models.prices import PriceKind, PriceModel
from catalog.publishing import draft_of, publish
from catalog.refusals import Refused
from catalog.selectors import Terms, terms_offered
from customers.accounts import activate_customer, map_external_id, save_customer
from customers.models import Customer, Subscription
from customers.periods import NoSuchPeriod
from customers.subscriptions import change_plan, current_period, phase_at, subscribe
from events.models import Event
from events.reasons import Reason


class FixRefused(Refused):
    """The fix can't be applied as things stand."""


@dataclass(frozen=True, slots=True)
class Field:
    """Something staff fill in before a fix: its kind is "text", "number", "moment" or "choice" (with choices)."""

    name: str
    label: str
    initial: str = ""
    kind: str = "text"
    help: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    is_required: bool = True


class Action(ABC):
    """One fix with its parameters. `permissions` are all needed; `closing` is noted on the problems it closes."""

    permissions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given = given

    def text(self, name: str) -> str:
        return self.given.get(name, "").strip()

    def row[Row: Any](self, model: type[Row], name: str) -> Row:
        """Find the row that a parameter names. Raises FixRefused when it is gone."""
        value = self.text(name)
        found = model.objects.filter(pk=int(value)).first() if value.isdecimal() else None
        if found is None:
            raise FixRefused(f"There is no such {model._meta.verbose_name} any more.")
        return found  # type: ignore[no-any-return]

    @abstractmethod
    def title(self) -> str:
        """Say what the fix does, as a heading."""

    @abstractmethod
    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        """Make the change. Raises Refused and ValidationError, each with a sentence for staff."""

    def fields(self) -> tuple[Field, ...]:
        return ()

    def waiting(self) -> Q | None:
        """Choose the open problems whose events wait for the fix; None for a fix that replays nothing."""
        return None

    def concerns(self) -> list[tuple[int, int, datetime]]:
        """List (customer, feature, moment) whose usage gets another price, for a fix that replays nothing."""
        return []

    def closing(self) -> str:
        return self.title()


class CreateCustomer(Action):
    permissions = ("customers.add_customer",)

    def title(self) -> str:
        return f"Create the customer “{self.text('external_id')}”"

    def fields(self) -> tuple[Field, ...]:
        return (
            Field("name", "Name", self.text("name") or self.text("external_id")),
            Field("timezone", "Time zone", "UTC", help="Where billing days begin and end, for example Europe/Berlin."),
            Field("currency", "Currency", "", help="Empty: the company's.", is_required=False),
        )

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        customer = Customer(
            external_id=self.text("external_id"),
            name=self.text("name") or self.text("external_id"),
            timezone=self.text("timezone") or "UTC",
            currency=self.text("currency").upper(),
        )
        save_customer(customer, by=by, reason=reason)

    def waiting(self) -> Q:
        return Q(reason=Reason.UNKNOWN_CUSTOMER, external_customer_id=self.text("external_id"))


class MapCustomer(Action):
    permissions = ("customers.add_customeralias",)

    def title(self) -> str:
        return f"Count “{self.text('alias')}” for {self.row(Customer, 'customer')}"

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        map_external_id(self.text("alias"), self.row(Customer, "customer"), by=by, reason=reason)

    def waiting(self) -> Q:
        return Q(reason=Reason.UNKNOWN_CUSTOMER, external_customer_id=self.text("alias"))


class ActivateCustomer(Action):
    permissions = ("customers.change_customer",)

    def title(self) -> str:
        return f"Activate the customer {self.row(Customer, 'customer')}"

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        activate_customer(self.row(Customer, "customer"), by=by, reason=reason)

    def waiting(self) -> Q:
        customer = self.row(Customer, "customer")
        names = [customer.external_id, *customer.aliases.values_list("alias", flat=True)]
        return Q(reason=Reason.CUSTOMER_ARCHIVED, external_customer_id__in=names)


class MapEventName(Action):
    permissions = ("catalog.add_eventnamealias",)

    def title(self) -> str:
        return f"Count events named “{self.text('alias')}” as “{self.text('event_name')}”"

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        map_event_name(self.text("alias"), self.text("event_name"), by=by, reason=reason)

    def waiting(self) -> Q:
        return Q(event_name=self.text("alias")) & ~Q(reason=Reason.UNKNOWN_CUSTOMER)


class ActivateFeature(Action):
    permissions = ("catalog.change_feature",)

    def title(self) -> str:
        return f"Activate the feature {self.row(Feature, 'feature')}"

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        activate_feature(self.row(Feature, "feature"), by=by, reason=reason)

    def waiting(self) -> Q:
        return Q(reason=Reason.FEATURE_ARCHIVED, feature=self.row(Feature, "feature"))


class AcceptNumericStrings(Action):
    permissions = ("catalog.change_feature",)

    def title(self) -> str:
        return f"Let {self.row(Feature, 'feature')} accept numeric strings"

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        accept_numeric_strings(self.row(Feature, "feature"), by=by, reason=reason)

    def waiting(self) -> Q:
        return Q(reason=Reason.NOT_A_NUMBER, feature=self.row(Feature, "feature"))


class Replay(Action):
    """Judge one event anew; its cause was mended before."""

    permissions = ("events.change_problem",)

    def title(self) -> str:
        return f"Replay the event {self.row(Event, 'event')}"

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        self.row(Event, "event")

    def waiting(self) -> Q:
        return Q(event=self.row(Event, "event"))

    def closing(self) -> str:
        return "Replayed from the Event Debugger"


class AddToPlan(Action):
    """Publish a version of the plan that prices the feature per unit, and move the subscription to it."""

    permissions = ("catalog.add_price", "catalog.add_planversion", "customers.change_subscription")

    def title(self) -> str:
        plan = self._plan()
        return f"Add {self.row(Feature, 'feature')} to a new version of {plan}"

    def fields(self) -> tuple[Field, ...]:
        subscription = self.row(Subscription, "subscription")
        period = f"from {self._period_start():%Y-%m-%d %H:%M} UTC, the start of the event's period"
        rhythm = subscription.get_interval_display().lower()
        return (
            Field("unit_amount", f"Price of one unit ({subscription.currency}, {rhythm})", kind="number"),
            Field(
                "since",
                "Move the subscription",
                "period",
                "choice",
                "Usage of the chosen time is priced by the new version; what was invoiced stays.",
                (("period", period), ("now", "from now on")),
            ),
        )

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        subscription, feature, plan = self.row(Subscription, "subscription"), self.row(Feature, "feature"), self._plan()
        if plan.versions.filter(state=VersionState.DRAFT).exists():
            raise FixRefused(
                f"{plan} has a draft already. Add the feature there and publish it, so that nothing is lost."
            )
        with transaction.atomic():
            draft = draft_of(plan, by=by, held=True)
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
            return current_period(self.row(Subscription, "subscription"), self._moment()).start
        except NoSuchPeriod as error:
            raise FixRefused("The subscription was cancelled before it began: it has no billing period.") from error

    def _plan(self) -> Plan:
        phase = phase_at(self.row(Subscription, "subscription"), self._moment())
        if phase is None:
            raise FixRefused("The subscription had no plan at that time.")
        return phase.plan_version.plan

    def _unit_amount(self) -> Decimal:
        try:
            amount = Decimal(self.text("unit_amount"))
        except InvalidOperation as error:
            raise FixRefused("Write the price of one unit as a number, for example 0.002.") from error
        if not amount.is_finite() or amount < 0:
            raise FixRefused("The price of one unit can't be negative.")
        return amount


class CreateSubscription(Action):
    permissions = ("customers.add_subscription",)

    def title(self) -> str:
        return f"Subscribe {self.row(Customer, 'customer')}"

    def fields(self) -> tuple[Field, ...]:
        starts_at = parse_moment(self.text("starts_at"))
        month = starts_at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return (
            Field("plan", "Plan", kind="choice", choices=tuple(plans_on_offer())),
            Field(
                "starts_at",
                "Starts at (UTC)",
                f"{month:%Y-%m-%dT%H:%M}",
                "moment",
                "At or before the event's time, so that it is billed. Billing periods count from here.",
            ),
        )

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        plan, terms = self._chosen()
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
        plan, _ = self._chosen()
        features = Price.objects.filter(version__plan=plan, feature__isnull=False).values_list("feature_id", flat=True)
        return [(customer.pk, feature, at) for feature in sorted({pk for pk in features if pk})]

    def _chosen(self) -> tuple[Plan, Terms]:
        parts = self.text("plan").split("|")
        plan = Plan.objects.filter(pk=int(parts[0])).first() if parts[0].isdecimal() else None
        if plan is None or len(parts) != 4 or not parts[3].isdecimal():
            raise FixRefused("Choose a plan.")
        return plan, Terms(parts[1], parts[2], int(parts[3]))


def plans_on_offer() -> list[tuple[str, str]]:
    """List the plans that can be sold, each on its terms, as choices."""
    found = []
    for plan in Plan.objects.filter(state="active").prefetch_related("versions")[:100]:
        versions = [version for version in plan.versions.all() if version.is_published]
        if versions:
            newest = max(versions, key=lambda version: version.number)
            found += [
                (f"{plan.pk}|{terms.currency}|{terms.interval}|{terms.interval_count}", f"{newest} · {terms}")
                for terms in terms_offered(newest)
            ]
    return found


def parse_moment(text: str) -> datetime:
    """Read an ISO moment; without a zone it is UTC. Raises FixRefused."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise FixRefused("Write the moment as 2026-01-31T12:00, in UTC.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


ACTIONS: dict[str, type[Action]] = {
    "create_customer": CreateCustomer,
    "map_customer": MapCustomer,
    "activate_customer": ActivateCustomer,
    "map_event_name": MapEventName,
    "activate_feature": ActivateFeature,
    "accept_numeric_strings": AcceptNumericStrings,
    "replay": Replay,
    "add_to_plan": AddToPlan,
    "create_subscription": CreateSubscription,
}


def make_action(name: str, given: Mapping[str, str]) -> Action:
    """Make the action of a fix from its parameters. Raises FixRefused for a name that there isn't."""
    if name not in ACTIONS:
        raise FixRefused("There is no such fix.")
    return ACTIONS[name](given)
