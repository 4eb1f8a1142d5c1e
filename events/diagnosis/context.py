"""The data of a diagnosis, each part read once, when a step first needs it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.db import connection

from catalog.models import Price
from catalog.selectors import prices_by_version
from config.near_miss import NearMiss, compose, nearest, one_edit_patterns
from customers.models import Customer, CustomerAlias, Subscription, SubscriptionPhase
from customers.periods import Interval
from customers.subscriptions import get_phases_by_subscription
from events.diagnosis.billing_facts import Facts, billing
from events.diagnosis.readings import NameMatch, Reading, match_name
from events.diagnosis.subject import Place, Subject
from events.models import DuplicateEvent, EventState, EventVoid, Problem, ProblemState
from events.sql import statement


@dataclass
class CustomerMatch:
    """The customer with the sent id today. `alias` is set if the id is mapped; `suspected` is a customer with a similar
    id, if there is none with this id.
    """

    customer: Customer | None = None
    alias: CustomerAlias | None = None
    near: NearMiss | None = None
    suspected: Customer | None = None

    @property
    def assumed(self) -> Customer | None:
        """Return the customer that the remaining steps are about."""
        return self.customer or self.suspected


@dataclass
class Context:
    """The event to diagnose, and everything known about it."""

    subject: Subject
    now: datetime

    @cached_property
    def name(self) -> NameMatch:
        return match_name(self.subject)

    @property
    def readings(self) -> tuple[Reading, ...]:
        """Return how each feature of the event name reads the event."""
        return self.name.readings

    @cached_property
    def relevant(self) -> tuple[Reading, ...]:
        """Return the readings that the diagnosis is about.

        A feature that leaves the event to another feature has no say: by its filter, its start or its archiving. If all
        do, the one is relevant whose filter has the fewest mismatches, because it is the likeliest to be meant.
        """
        counting = tuple(reading for reading in self.readings if not reading.yields)
        if counting:
            return tuple(reading for reading in counting if not self._is_priced_as_another(reading, counting))
        matching = tuple(reading for reading in self.readings if reading.passes_filter)
        return matching or tuple(sorted(self.readings, key=lambda reading: len(reading.mismatches))[:1])

    def _is_priced_as_another(self, reading: Reading, counting: Sequence[Reading]) -> bool:
        """Tell whether another feature has the price of the same usage: by value, or for all values.

        Without a price, only the feature that counts all values has a say.
        """
        feature = reading.feature
        same = [other.feature for other in counting if other.feature.whole_id == feature.whole_id]
        if len(same) == 1 or self.is_priced(feature.pk):
            return False
        return any(self.is_priced(other.pk) for other in same) or feature.variant_of_id is not None

    @cached_property
    def others(self) -> tuple[Reading, ...]:
        """Return the readings of features that leave the event to another one."""
        return tuple(reading for reading in self.readings if reading not in self.relevant)

    @cached_property
    def problems(self) -> dict[int | None, list[Problem]]:
        """Return the stored problems, open and closed, by feature id; None stands for the event as a whole."""
        problems: dict[int | None, list[Problem]] = defaultdict(list)
        if self.subject.place == Place.LEDGER and self.subject.pk is not None:
            rows = Problem.objects.filter(event_id=self.subject.pk).select_related("closed_by").order_by("pk")
            for problem in rows:
                problems[problem.feature_id].append(problem)
        return problems

    def open_problems(self, feature_id: int | None) -> list[Problem]:
        return [problem for problem in self.problems.get(feature_id, []) if problem.state == ProblemState.OPEN]

    def dismissed(self, feature_id: int | None) -> Problem | None:
        problems = [*self.problems.get(None, []), *self.problems.get(feature_id, [])]
        return next((problem for problem in problems if problem.state == ProblemState.DISMISSED), None)

    @cached_property
    def void(self) -> EventVoid | None:
        if self.subject.state != EventState.VOIDED or self.subject.pk is None:
            return None
        return EventVoid.objects.select_related("voided_by").filter(event_id=self.subject.pk).first()

    @cached_property
    def repeats(self) -> list[DuplicateEvent]:
        """Return the logged duplicates of this event_id, newest first."""
        return list(DuplicateEvent.objects.filter(event_id=self.subject.event_id).select_related("api_key")[:50])

    @cached_property
    def customer(self) -> CustomerMatch:
        sent = self.subject.external_customer_id
        if customer := Customer.objects.filter(external_id=sent).first():
            return CustomerMatch(customer)
        if alias := CustomerAlias.objects.filter(alias=sent).select_related("customer").first():
            return CustomerMatch(alias.customer, alias)
        near = nearest(sent, similar_external_ids(sent))
        suspected = Customer.objects.filter(external_id=near.name).first() if near else None
        return CustomerMatch(near=near, suspected=suspected)

    @cached_property
    def subscriptions(self) -> dict[int, Subscription]:
        customer = self.customer.assumed
        if customer is None:
            return {}
        rows = Subscription.objects.filter(customer=customer).order_by("started_at", "pk")[:200]
        return {row.pk: row for row in rows}

    @cached_property
    def phases(self) -> list[SubscriptionPhase]:
        """Return the current history of the customer's subscriptions, oldest phase first, with their plans."""
        chains = get_phases_by_subscription(self.subscriptions)
        phases = [phase for chain in chains.values() for phase in chain]
        for phase in phases:
            phase.subscription = self.subscriptions[phase.subscription_id]
        return sorted(phases, key=lambda phase: (phase.starts_at, phase.pk))

    @cached_property
    def phases_at(self) -> list[SubscriptionPhase]:
        """Return the phases in force at the event's time, as recorded today."""
        return [phase for phase in self.phases if holds(phase, self.subject.occurred_at)]

    @cached_property
    def prices(self) -> dict[int, list[Price]]:
        """Return the prices of the plan versions in force at the event's time, by version id."""
        return prices_by_version(phase.plan_version for phase in self.phases_at)

    def price_in(self, phase: SubscriptionPhase, feature_id: int) -> Price | None:
        """Return the price that a phase charges for a feature: in the subscription's currency and interval."""
        prices = (price for price in self.prices.get(phase.plan_version_id, []) if price.feature_id == feature_id)
        return next((price for price in prices if fits(price, phase.subscription)), None)

    def is_priced(self, feature_id: int) -> bool:
        """Tell whether a plan in force at the event's time charges for the feature."""
        return any(self.price_in(phase, feature_id) for phase in self.phases_at)

    @cached_property
    def facts(self) -> dict[tuple[int, int], Facts]:
        """Return billing's facts by (subscription id, feature id), for every subscription in `phases_at`."""
        features = [reading.feature.pk for reading in self.relevant]
        facts_by_key: dict[tuple[int, int], Facts] = {}
        if not features:
            return facts_by_key
        for subscription_id in dict.fromkeys(phase.subscription_id for phase in self.phases_at):
            answers = billing().facts(
                subscription_id=subscription_id, feature_ids=features, at=self.subject.occurred_at, now=self.now
            )
            facts_by_key |= {(subscription_id, feature_id): facts for feature_id, facts in answers.items()}
        return facts_by_key

    def facts_of(self, feature_id: int) -> list[Facts]:
        return [facts for (_, feature), facts in self.facts.items() if feature == feature_id]

    def is_counted(self, reading: Reading) -> bool:
        """Tell whether the event is in the ledger and currently counts for the feature."""
        subject = self.subject
        return (
            subject.place == Place.LEDGER
            and subject.state in (EventState.COUNTED, EventState.PARTLY)
            and self.name.is_known
            and reading.reason is None
            and not self.open_problems(reading.feature.pk)
            and not self.open_problems(None)
            and self.dismissed(reading.feature.pk) is None
        )


def fits(price: Price, subscription: Subscription) -> bool:
    """Tell whether a price applies to a subscription: same currency, and an interval of the same length."""
    interval = Interval(subscription.interval, subscription.interval_count)
    return price.currency == subscription.currency and interval.has_same_length(
        Interval(price.interval, price.interval_count)
    )


def holds(phase: SubscriptionPhase, at: datetime) -> bool:
    """Tell whether a phase is in force at a given time. It includes its start and excludes its end."""
    return phase.starts_at <= at and (phase.ends_at is None or at < phase.ends_at)


def similar_external_ids(sent: str) -> list[str]:
    """List similar external ids, at most 200, with a single query."""
    sent = compose(sent)
    half = (len(sent) - 1) // 2
    with connection.cursor() as cursor:
        cursor.execute(
            statement("similar_customers"),
            {"sent": sent, "first": sent[:half], "last": sent[len(sent) - half :], "patterns": one_edit_patterns(sent)},
        )
        return [row[0] for row in cursor.fetchall()]
