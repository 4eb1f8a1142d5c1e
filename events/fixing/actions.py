"""The fixes that let events count: what each changes, and which events wait for it.

An action is created from a problem's parameters and the form that staff filled in. `apply` only makes the change;
previewing, replaying and measuring it are in `events.fixing`.
"""

from collections.abc import Mapping
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Q

from catalog.features import accept_numeric_strings, activate_feature, map_event_name, save_feature
from catalog.models import Feature
from customers.accounts import activate_customer, map_external_id, save_customer
from customers.models import Customer
from events.fixing.base import Action, Field, FieldKind, FixRefused, parse_moment
from events.models import Event
from events.reasons import Reason

MOST_CHOICES = 500


class CreateCustomer(Action):
    name = "create_customer"
    permissions = ("customers.add_customer",)

    def title(self) -> str:
        return f"Create the customer “{self.text('external_id')}”"

    def fields(self) -> tuple[Field, ...]:
        return (
            Field("name", "Name", self.text("name") or self.text("external_id")),
            Field("timezone", "Time zone", "UTC", help="Where billing days start and end, for example Europe/Berlin."),
            Field("currency", "Currency", "", help="Leave blank to use the company's currency.", is_required=False),
        )

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        customer = Customer(
            external_id=self.text("external_id"),
            name=self.text("name") or self.text("external_id"),
            timezone=self.text("timezone") or "UTC",
            currency=self.text("currency").upper(),
        )
        save_customer(customer, by=by, reason=reason)

    def listed(self) -> dict[str, str]:
        return {"reason": Reason.UNKNOWN_CUSTOMER.value, "external_customer_id": self.text("external_id")}

    def waiting(self) -> Q:
        return Q(reason=Reason.UNKNOWN_CUSTOMER, external_customer_id=self.text("external_id"))


class MapCustomer(Action):
    """Map an id to a customer: the `customer` parameter, or the customer whose external id staff enter in `meant`."""

    name = "map_customer"
    permissions = ("customers.add_customeralias",)

    def title(self) -> str:
        if not self.text("customer"):
            return f"Map “{self.text('alias')}” to a customer"
        return f"Count “{self.text('alias')}” for {self.row(Customer, 'customer')}"

    def fields(self) -> tuple[Field, ...]:
        if self.text("customer"):
            return ()
        return (Field("meant", "External customer ID of the intended customer"),)

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        map_external_id(self.text("alias"), self._customer(), by=by, reason=reason)

    def closing(self) -> str:
        return f"Count “{self.text('alias')}” for {self._customer()}"

    def _customer(self) -> Customer:
        if self.text("customer"):
            return self.row(Customer, "customer")
        customer = Customer.objects.filter(external_id=self.text("meant")).first()
        if customer is None:
            raise FixRefused(f"No customer has the external customer ID “{self.text('meant')}”.")
        return customer

    def listed(self) -> dict[str, str]:
        return {"reason": Reason.UNKNOWN_CUSTOMER.value, "external_customer_id": self.text("alias")}

    def waiting(self) -> Q:
        return Q(reason=Reason.UNKNOWN_CUSTOMER, external_customer_id=self.text("alias"))


class ActivateCustomer(Action):
    name = "activate_customer"
    permissions = ("customers.change_customer",)

    def title(self) -> str:
        return f"Activate the customer {self._customer()}"

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        activate_customer(self._customer(), by=by, reason=reason)

    def _customer(self) -> Customer:
        """Load the customer by primary key, or by an id that events carry."""
        if self.text("customer"):
            return self.row(Customer, "customer")
        external_id = self.text("external_id")
        customer = Customer.objects.filter(Q(external_id=external_id) | Q(aliases__alias=external_id)).first()
        if customer is None:
            raise FixRefused(f"No customer has the external customer ID “{external_id}” any longer.")
        return customer

    def listed(self) -> dict[str, str]:
        return {"reason": Reason.CUSTOMER_ARCHIVED.value}

    def waiting(self) -> Q:
        customer = self._customer()
        names = [customer.external_id, *customer.aliases.values_list("alias", flat=True)]
        return Q(reason=Reason.CUSTOMER_ARCHIVED, external_customer_id__in=names)


class MapEventName(Action):
    """Map an event name to the `event_name` parameter or, with `choose`, to the name that staff choose."""

    name = "map_event_name"
    permissions = ("catalog.add_eventnamealias",)

    def title(self) -> str:
        if self.text("choose"):
            return f"Map the event name “{self.text('alias')}”"
        return f"Count events named “{self.text('alias')}” as “{self.text('event_name')}”"

    def fields(self) -> tuple[Field, ...]:
        if not self.text("choose"):
            return ()
        names = Feature.objects.metered().order_by("event_name").values_list("event_name", flat=True).distinct()
        choices = tuple((name, name) for name in names[:MOST_CHOICES])
        return (Field("event_name", "Count its events as", kind=FieldKind.CHOICE, choices=choices),)

    def closing(self) -> str:
        return f"Count events named “{self.text('alias')}” as “{self.text('event_name')}”"

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        map_event_name(self.text("alias"), self.text("event_name"), by=by, reason=reason)

    def listed(self) -> dict[str, str]:
        return {"event_name": self.text("alias")}

    def waiting(self) -> Q:
        return Q(event_name=self.text("alias")) & ~Q(reason=Reason.UNKNOWN_CUSTOMER)


class ActivateFeature(Action):
    name = "activate_feature"
    permissions = ("catalog.change_feature",)

    def title(self) -> str:
        return f"Activate the feature {self.row(Feature, 'feature')}"

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        activate_feature(self.row(Feature, "feature"), by=by, reason=reason)

    def listed(self) -> dict[str, str]:
        return {"reason": Reason.FEATURE_ARCHIVED.value, "feature__id__exact": self.text("feature")}

    def waiting(self) -> Q:
        return Q(reason=Reason.FEATURE_ARCHIVED, feature=self.row(Feature, "feature"))


class AcceptNumericStrings(Action):
    name = "accept_numeric_strings"
    permissions = ("catalog.change_feature",)

    def title(self) -> str:
        return f"Let {self.row(Feature, 'feature')} accept numeric strings"

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        accept_numeric_strings(self.row(Feature, "feature"), by=by, reason=reason)

    def listed(self) -> dict[str, str]:
        return {"reason": Reason.NOT_A_NUMBER.value, "feature__id__exact": self.text("feature")}

    def waiting(self) -> Q:
        return Q(reason=Reason.NOT_A_NUMBER, feature=self.row(Feature, "feature"))


class Replay(Action):
    """Replay one event whose cause was fixed before."""

    name = "replay"
    permissions = ("events.change_problem",)

    def title(self) -> str:
        return f"Replay the event {self.row(Event, 'ledger_id')}"

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        self.row(Event, "ledger_id")

    def listed(self) -> dict[str, str]:
        return {"q": self.row(Event, "ledger_id").event_id}

    def waiting(self) -> Q:
        return Q(event=self.row(Event, "ledger_id"))

    def closing(self) -> str:
        return "Replayed from the Event Debugger"


class ReplayCause(Action):
    """Replay every event of a cause that was fixed before."""

    name = "replay_cause"
    permissions = ("events.change_problem",)

    def title(self) -> str:
        name = self.text("external_customer_id") or self.text("event_name")
        return f"Replay “{self.reason().label}” of {name}"

    def reason(self) -> Reason:
        if self.text("cause") not in Reason.values:
            raise FixRefused("This cause doesn't exist.")
        return Reason(self.text("cause"))

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        self.reason()

    def listed(self) -> dict[str, str]:
        filters = {
            "cause": "reason",
            "external_customer_id": "external_customer_id",
            "event_name": "event_name",
            "feature": "feature__id__exact",
        }
        return {filters[name]: self.text(name) for name in filters if self.text(name)}

    def waiting(self) -> Q:
        return cause_of(self.parameters)

    def closing(self) -> str:
        return "Replayed with its cause"


class CountEarlier(Action):
    """Let a feature count events from an earlier time."""

    name = "count_earlier"
    permissions = ("catalog.change_feature",)

    def title(self) -> str:
        return f"Let {self.row(Feature, 'feature')} count from an earlier time"

    def fields(self) -> tuple[Field, ...]:
        first = parse_moment(self.text("at")) if self.text("at") else None
        initial = f"{first.replace(minute=0, second=0, microsecond=0):%Y-%m-%dT%H:%M}" if first else ""
        return (Field("since", "Counts from (UTC)", initial, FieldKind.MOMENT, "Earlier events don't count."),)

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        feature = self.row(Feature, "feature")
        since = parse_moment(self.text("since"))
        if feature.counts_from is not None and since >= feature.counts_from:
            raise FixRefused(
                f"It already counts from {feature.counts_from:%Y-%m-%d %H:%M} UTC. Choose an earlier time."
            )
        feature.counts_from = since
        save_feature(feature, by=by, reason=reason)

    def listed(self) -> dict[str, str]:
        return {"reason": Reason.BEFORE_FEATURE_START.value, "feature__id__exact": self.text("feature")}

    def waiting(self) -> Q:
        return Q(reason=Reason.BEFORE_FEATURE_START, feature=self.row(Feature, "feature"))


def cause_of(parameters: Mapping[str, str]) -> Q:
    """Return the condition for the problems of a cause: `cause` is the reason, the others identify it further."""
    condition = Q(reason=parameters.get("cause", ""))
    if external_id := parameters.get("external_customer_id"):
        return condition & Q(external_customer_id=external_id)
    feature = parameters.get("feature", "")
    return condition & Q(
        event_name=parameters.get("event_name", ""), feature=int(feature) if feature.isdecimal() else None
    )
