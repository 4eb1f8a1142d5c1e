"""Random subscriptions with their events, billed by the product without a database."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from billing.charges.fees import calculate_fees
from billing.charges.next_invoice import NextInvoice, mark_invoiced, next_invoice
from billing.charges.subscription import (
    Allowance,
    BilledSubscription,
    Fee,
    MeteredFeature,
    Phase,
    PlanTerms,
    UsagePrice,
)
from billing.charges.usage_charges import MeterQuery, UsageCharge, list_usage_charges
from billing.charges.usage_lines import calculate_usage
from billing.invoicing.compute import ComputedInvoice, InvoiceRequest, record_on_subscription
from billing.lines import Charge
from billing.rating.terms import Conversion, Model, Terms, Tier
from catalog.kinds import Aggregation, EntitlementReset
from customers.kinds import PhaseKind
from customers.periods import Interval, Schedule
from events.usage.aggregation import Sums, aggregate, epoch
from events.usage.meter import BEGINNING, Quantity
from tests.billing.world import utc

START, HOUR = utc(2026, 1, 30, 22, 30), timedelta(hours=1)
HOURS = 24 * 100
FEATURES = tuple(kind for kind in Aggregation if kind != Aggregation.SUM_WITH_MULTIPLIER)


@dataclass(frozen=True)
class Event:
    """An event of a feature, so many hours after the start."""

    feature: int
    hour: int
    value: Decimal

    @property
    def at(self) -> datetime:
        return START + self.hour * HOUR


@dataclass(frozen=True)
class Story:
    """A subscription and all that happens to it."""

    subscription: BilledSubscription
    events: tuple[Event, ...]


def money(most: int, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(0, most, places=places, allow_nan=False)


def tiers_of(bounds: list[int], amounts: list[Decimal], flats: list[Decimal]) -> tuple[Tier, ...]:
    uppers = [*sorted(set(bounds)), None]
    return tuple(
        Tier(None if upper is None else Decimal(upper), amount, flat, amount)
        for upper, amount, flat in zip(uppers, amounts, flats, strict=False)
    )


TIERS = st.builds(
    tiers_of,
    st.lists(st.integers(1, 60), min_size=1, max_size=2),
    st.lists(money(3, 4), min_size=3, max_size=3),
    st.lists(money(5, 2), min_size=3, max_size=3),
)
CONVERSIONS = st.none() | st.builds(
    Conversion,
    st.just(Decimal(1)),
    st.sampled_from([Decimal(10), Decimal(3)]),
    st.sampled_from(["none", "half_up", "ceil", "floor"]),
)
TERMS = st.builds(
    Terms,
    model=st.sampled_from(list(Model)),
    unit_amount=money(3, 4),
    flat_amount=money(9, 2),
    package_size=st.sampled_from([Decimal(10), Decimal("2.5")]),
    package_rounding=st.sampled_from(["up", "down"]),
    tiers=TIERS,
    cap_amount=st.none() | money(80, 2),
    conversion=CONVERSIONS,
    charge_at_zero=st.booleans(),
    rate_percent=money(9, 3),
    fixed_amount_per_event=st.just(Decimal(0)) | money(1, 2),
    free_events=st.none() | st.integers(0, 2),
    free_amount=st.none() | money(40, 0),
    per_event_min=st.none() | money(1, 2),
    per_event_max=st.none() | st.just(Decimal(2)),
)
ALLOWANCES = st.builds(Allowance, st.none() | money(30, 1), st.sampled_from(list(EntitlementReset)), st.booleans())


@st.composite
def plans(draw: Any, version_id: int, features: list[MeteredFeature]) -> PlanTerms:
    usage = [
        UsagePrice(version_id * 10 + feature.id, "Usage", feature, draw(TERMS), draw(st.none() | money(20, 2)))
        for feature in features
    ]
    fees = [
        Fee(
            version_id * 100 + number,
            "Fee",
            draw(money(90, 2)),
            draw(st.sampled_from([Decimal(1), Decimal(3)])),
            advance,
            draw(st.sampled_from([1, 1, 2])),
        )
        for number, advance in enumerate(draw(st.lists(st.booleans(), max_size=2)))
    ]
    allowances = {feature.id: draw(ALLOWANCES) for feature in features if draw(st.booleans())}
    return PlanTerms(version_id, "Plan", 1, tuple(fees), tuple(usage), allowances)


@st.composite
def plans_of_a_subscription(draw: Any, features: list[MeteredFeature]) -> dict[int, PlanTerms]:
    """Draw two plan versions. The second can be terms agreed instead of the first, which share what doesn't differ."""
    first, second = draw(plans(1, features)), draw(plans(2, features))
    if draw(st.booleans()):
        second = replace(
            second,
            fees=tuple(draw(st.sampled_from(pair)) for pair in zip(first.fees, second.fees, strict=False)),
            usage=tuple(draw(st.sampled_from(pair)) for pair in zip(first.usage, second.usage, strict=True)),
            allowances={
                pk: draw(st.sampled_from([free, first.allowance(pk)])) for pk, free in second.allowances.items()
            },
        )
    return {1: first, 2: second}


@st.composite
def stories(draw: Any) -> Story:
    """Draw a subscription of up to three months whose plan changes, pauses and ends at any hour."""
    features = [
        MeteredFeature(number, f"Feature {number}", draw(st.sampled_from(FEATURES)), draw(st.booleans()))
        for number in (1, 2)
    ]
    edges = sorted(draw(st.sets(st.integers(1, HOURS - 1), max_size=3)))
    starts = [START, *(START + hour * HOUR for hour in edges)]
    kinds = [draw(st.sampled_from([*PhaseKind, PhaseKind.ACTIVE])) for _ in starts]
    is_ended = draw(st.booleans())
    ends = [*starts[1:], START + HOURS * HOUR if is_ended else None]
    phases = tuple(
        Phase(kind, draw(st.sampled_from([1, 2])), start, end)
        for kind, start, end in zip(kinds, starts, ends, strict=True)
    )
    zone = draw(st.sampled_from(["UTC", "America/New_York", "Pacific/Auckland"]))
    schedule = Schedule(
        Interval(draw(st.sampled_from(["week", "month", "month"]))),
        START,
        zone,
        draw(st.sampled_from(["anniversary", "calendar"])),
    )
    subscription = BilledSubscription(
        subscription_id=1,
        customer_id=1,
        payer_id=1,
        currency=draw(st.sampled_from(["USD", "JPY", "KWD"])),
        schedule=schedule,
        started_at=START,
        ended_at=ends[-1],
        prorate=draw(st.booleans()),
        phases=phases,
        plans=draw(plans_of_a_subscription(features)),
    )
    events = draw(
        st.lists(
            st.builds(Event, st.sampled_from([1, 2]), st.integers(0, HOURS - 1), st.decimals(-3, 30, places=1)),
            max_size=30,
        )
    )
    return Story(subscription, tuple(sorted(events, key=lambda event: event.hour)))


def bill_to_end(story: Story) -> list[tuple[NextInvoice, list[Charge]]]:
    """Calculate the invoices of the first hundred days, one after the other, each with its charges."""
    invoices = []
    while (invoice := next_invoice(story.subscription)) is not None and invoice.due_at <= START + HOURS * HOUR:
        charges = calculate_fees(story.subscription, invoice)
        for charge in list_usage_charges(story.subscription, invoice):
            readings = [read_meter(story, charge, query) for query in charge.meter_queries()]
            charges += calculate_usage(story.subscription, charge, readings, read_values(story, charge))
        record_on_subscription(ComputedInvoice(InvoiceRequest(story.subscription, invoice), charges))
        mark_invoiced(story.subscription, invoice)
        invoices.append((invoice, charges))
    return invoices


def read_meter(story: Story, charge: UsageCharge, query: MeterQuery) -> Quantity:
    """Answer as the meter does, from the list of events."""
    feature = charge.price.feature
    by_time = feature.aggregation == Aggregation.WEIGHTED_SUM
    start = BEGINNING if feature.is_cumulative and not by_time else query.window.start
    events = events_between(story, feature.id, start, query.window.end)
    before = (
        events_between(story, feature.id, BEGINNING, query.window.start) if feature.is_cumulative and by_time else []
    )
    values = [event.value for event in events]
    sums = Sums(
        count=len(values),
        total=sum(values, Decimal(0)),
        weighted=sum((event.value * epoch(event.at) for event in events), Decimal(0)),
        maximum=max(values, default=None),
        minimum=min(values, default=None),
        latest=values[-1] if values else None,
        distinct=len(set(values)),
        before=sum((event.value for event in before), Decimal(0)),
    )
    value = aggregate(feature.aggregation, sums, query.window.start, query.window.end)
    return Quantity(value, len(values) + len(before), 0)


def events_between(story: Story, feature: int, start: datetime, end: datetime) -> list[Event]:
    return [event for event in story.events if event.feature == feature and start <= event.at < end]


def read_values(story: Story, charge: UsageCharge) -> list[list[Decimal]]:
    feature = charge.price.feature
    grants = charge.grants if charge.charged_before is None else (*charge.grants, *charge.charged_before.grants)
    return [
        [
            event.value
            for span in grant.windows
            for event in events_between(story, feature.id, BEGINNING if feature.is_cumulative else span.start, span.end)
        ]
        for grant in grants
    ]
