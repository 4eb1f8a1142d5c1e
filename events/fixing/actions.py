"""The fixes that let events count, each applied with a click: what it changes, and which events wait for it.

An action is made from a step's parameters and what staff filled in. `apply` only makes the change; previewing,
replaying and proving are in `events.fixing`.
"""

from collections.abc import Mapping
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Q

from catalog.features import accept_numeric_strings, activate_feature, map_event_name, save_feature
from catalog.models import Feature
from customers.accounts import activate_customer, map_external_id, save_customer
from customers.models import Customer
from events.fixing.base import Action, Field, FixRefused, parse_moment
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

    def listed(self) -> dict[str, str]:
        return {"reason": Reason.UNKNOWN_CUSTOMER.value, "external_customer_id": self.text("external_id")}

    def waiting(self) -> Q:
        return Q(reason=Reason.UNKNOWN_CUSTOMER, external_customer_id=self.text("external_id"))


class MapCustomer(Action):
    """Point an id to a customer: the one given, or the one whose external id staff write into `meant`."""

    name = "map_customer"
    permissions = ("customers.add_customeralias",)

    def title(self) -> str:
        if not self.text("customer"):
            return f"Map “{self.text('alias')}” to a customer"
        return f"Count “{self.text('alias')}” for {self.row(Customer, 'customer')}"

    def fields(self) -> tuple[Field, ...]:
        if self.text("customer"):
            return ()
        return (Field("meant", "External id of the customer that was meant"),)

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        map_external_id(self.text("alias"), self._customer(), by=by, reason=reason)

    def closing(self) -> str:
        return f"Count “{self.text('alias')}” for {self._customer()}"

    def _customer(self) -> Customer:
        if self.text("customer"):
            return self.row(Customer, "customer")
        found = Customer.objects.filter(external_id=self.text("meant")).first()
        if found is None:
            raise FixRefused(f"No customer has the external id “{self.text('meant')}”.")
        return found

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
        """Find the customer by its key, or by an id that events carry."""
        if self.text("customer"):
            return self.row(Customer, "customer")
        sent = self.text("external_id")
        found = Customer.objects.filter(Q(external_id=sent) | Q(aliases__alias=sent)).first()
        if found is None:
            raise FixRefused(f"No customer has the external id “{sent}” any more.")
        return found

    def listed(self) -> dict[str, str]:
        return {"reason": Reason.CUSTOMER_ARCHIVED.value}

    def waiting(self) -> Q:
        customer = self._customer()
        names = [customer.external_id, *customer.aliases.values_list("alias", flat=True)]
        return Q(reason=Reason.CUSTOMER_ARCHIVED, external_customer_id__in=names)


class MapEventName(Action):
    """Map a name to the one given, or, where `choose` says so, to the one that staff choose."""

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
        return (Field("event_name", "Count its events as", kind="choice", choices=choices),)

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
    """Judge one event anew; its cause was mended before."""

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
    """Judge every event of a cause anew; whatever kept them from counting was mended before."""

    name = "replay_cause"
    permissions = ("events.change_problem",)

    def title(self) -> str:
        what = self.text("external_customer_id") or self.text("event_name")
        return f"Replay “{self.reason().label}” of {what}"

    def reason(self) -> Reason:
        if self.text("cause") not in Reason.values:
            raise FixRefused("There is no such cause.")
        return Reason(self.text("cause"))

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        self.reason()

    def listed(self) -> dict[str, str]:
        names = {"cause": "reason", "feature": "feature__id__exact"}
        given = ("cause", "external_customer_id", "event_name", "feature")
        return {names.get(name, name): self.text(name) for name in given if self.text(name)}

    def waiting(self) -> Q:
        return cause_of(self.given)

    def closing(self) -> str:
        return "Replayed with its cause"


class CountEarlier(Action):
    """Let a feature count from an earlier moment on."""

    name = "count_earlier"
    permissions = ("catalog.change_feature",)

    def title(self) -> str:
        return f"Let {self.row(Feature, 'feature')} count from an earlier moment on"

    def fields(self) -> tuple[Field, ...]:
        first = parse_moment(self.text("at")) if self.text("at") else None
        initial = f"{first.replace(minute=0, second=0, microsecond=0):%Y-%m-%dT%H:%M}" if first else ""
        return (Field("since", "Counts from (UTC)", initial, "moment", "Events that occurred before don't count."),)

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        feature = self.row(Feature, "feature")
        since = parse_moment(self.text("since"))
        if feature.counts_from is not None and since >= feature.counts_from:
            raise FixRefused(f"It counts from {feature.counts_from:%Y-%m-%d %H:%M} UTC on: choose a moment before.")
        feature.counts_from = since
        save_feature(feature, by=by, reason=reason)

    def listed(self) -> dict[str, str]:
        return {"reason": Reason.BEFORE_FEATURE_START.value, "feature__id__exact": self.text("feature")}

    def waiting(self) -> Q:
        return Q(reason=Reason.BEFORE_FEATURE_START, feature=self.row(Feature, "feature"))


def cause_of(given: Mapping[str, str]) -> Q:
    """Choose the problems of a cause, as they are grouped: `cause` is the reason, the rest tells it apart."""
    chosen = Q(reason=given.get("cause", ""))
    if external_id := given.get("external_customer_id"):
        return chosen & Q(external_customer_id=external_id)
    feature = given.get("feature", "")
    return chosen & Q(event_name=given.get("event_name", ""), feature=int(feature) if feature.isdecimal() else None)
