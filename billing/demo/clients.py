"""Who buys from the demo company: customers in several countries, and how each subscription begins and goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction

from billing.demo.story import Story, midnight
from catalog.models import Plan
from customers.accounts import save_customer
from customers.models import Alignment, Customer, Subscription
from customers.subscriptions import cancel, change_plan, subscribe

MADE_ON = "demo_made_on"
REASON = "Demo"
TRIAL_DAYS = 14


@dataclass(frozen=True)
class Client:
    """A customer of the demo: where it is, what it buys from which day of the first month, how much it uses.

    `begins_on_day` None is a trial that began ten days before the demo was made. Without a `plan` there is no
    subscription. `requests_a_day` is an ordinary working day's in the first month.
    """

    external_id: str
    name: str
    country: str
    city: str
    currency: str
    timezone: str
    plan: str
    requests_a_day: int
    users: int
    begins_on_day: int | None = 1
    alignment: Alignment = Alignment.CALENDAR
    moves_to: str = ""
    moves_on_day: int = 0
    cancelled_on_day: int = 0

    @property
    def key(self) -> str:
        """The lookup key of its subscription."""
        return f"{self.external_id}-1"

    def starts_at(self, story: Story) -> datetime:
        if self.begins_on_day is None:
            return midnight(story.made_on - timedelta(days=10), self.timezone)
        return midnight(story.day(self.begins_on_day), self.timezone)

    def ends_at(self, story: Story) -> datetime | None:
        """When it cancelled, if it did."""
        return midnight(story.day(self.cancelled_on_day), self.timezone) if self.cancelled_on_day else None


BRIGHTWATER, KESTREL, MIRAI = "brightwater-analytics", "kestrel-robotics", "mirai-denki"
MONSOON, PALISADE, TINTA, QUAYSIDE = "monsoon-commerce", "palisade-games", "tinta-estudio", "quayside-legal"
COPPERLINE, ALDER = "copperline-logistics", "alder-labs"
ANNIVERSARY = Alignment.ANNIVERSARY

CLIENTS = (
    Client(BRIGHTWATER, "Brightwater Analytics GmbH", "DE", "Berlin", "EUR", "Europe/Berlin", "scale", 190, 31),
    Client(KESTREL, "Kestrel Robotics Inc.", "US", "Boston", "USD", "America/New_York", "scale", 150, 24),
    Client(MIRAI, "Mirai Denki KK", "JP", "Tokyo", "JPY", "Asia/Tokyo", "scale", 130, 18),
    Client("fjord-health", "Fjord Health AS", "NO", "Oslo", "EUR", "Europe/Oslo", "starter", 60, 7, None, ANNIVERSARY),
    Client("harbour-pine", "Harbour & Pine Ltd", "GB", "London", "EUR", "Europe/London", "starter", 70, 8),
    Client(QUAYSIDE, "Quayside Legal LLP", "IE", "Dublin", "EUR", "Europe/Dublin", "starter", 45, 6),
    Client(TINTA, "Tinta Estudio SL", "ES", "Madrid", "EUR", "Europe/Madrid", "starter", 50, 5, cancelled_on_day=21),
    Client(
        *(COPPERLINE, "Copperline Logistics LLC", "US", "Chicago", "USD", "America/Chicago", "starter", 110, 15),
        moves_to="scale",
        moves_on_day=16,
    ),
    Client(
        *(PALISADE, "Palisade Games Inc.", "US", "Los Angeles", "USD", "America/Los_Angeles", "starter", 90, 6),
        begins_on_day=5,
        alignment=ANNIVERSARY,
    ),
    Client(
        *("outback-telemetry", "Outback Telemetry Pty", "AU", "Sydney", "USD", "Australia/Sydney", "scale", 100, 12),
        begins_on_day=11,
        alignment=ANNIVERSARY,
    ),
    Client(
        *(MONSOON, "Monsoon Commerce Pvt", "IN", "Mumbai", "USD", "Asia/Kolkata", "starter", 80, 9),
        begins_on_day=17,
        alignment=ANNIVERSARY,
    ),
    Client(
        *("sakura-press", "Sakura Press", "JP", "Kyoto", "JPY", "Asia/Tokyo", "starter", 40, 4),
        begins_on_day=20,
        alignment=ANNIVERSARY,
    ),
    Client(ALDER, "Alder Labs BV", "NL", "Utrecht", "EUR", "Europe/Amsterdam", "", 0, 0),
)
PRINTED = CLIENTS[0]


def story_told(now: datetime) -> Story:
    """Return the story that this database remembers, or a new one made today (UTC)."""
    remembered = Customer.objects.filter(external_id=PRINTED.external_id).values_list("metadata", flat=True).first()
    if remembered and MADE_ON in remembered:
        return Story(datetime.fromisoformat(remembered[MADE_ON]).date())
    return Story(now.astimezone(UTC).date())


def make_customers(story: Story, *, by: User) -> None:
    """Make the customers that aren't there yet. Safe to repeat."""
    known = set(Customer.objects.values_list("external_id", flat=True))
    for client in CLIENTS:
        if client.external_id not in known:
            save_customer(_customer(client, story), by=by, reason=REASON)


def _customer(client: Client, story: Story) -> Customer:
    return Customer(
        external_id=client.external_id,
        name=client.name,
        email=f"billing@{client.external_id}.example",
        currency=client.currency,
        timezone=client.timezone,
        address_city=client.city,
        address_country=client.country,
        metadata={MADE_ON: story.made_on.isoformat()},
    )


def make_subscriptions(story: Story, plans: Mapping[str, Plan], *, by: User) -> list[Subscription]:
    """Subscribe whom there is no subscription of yet, and write what became of it; return all. Safe to repeat."""
    return [make_subscription(client, story, plans, by=by) for client in CLIENTS if client.plan]


@transaction.atomic
def make_subscription(client: Client, story: Story, plans: Mapping[str, Plan], *, by: User) -> Subscription:
    """Return the client's subscription, found by its key, or begun as the story tells: each step at its own time."""
    if found := Subscription.objects.filter(key=client.key).first():
        return found
    starts_at = client.starts_at(story)
    subscription = subscribe(
        Customer.objects.get(external_id=client.external_id),
        plans[client.plan],
        currency=client.currency,
        interval="month",
        alignment=client.alignment,
        starts_at=starts_at,
        trial_days=TRIAL_DAYS if client.begins_on_day is None else 0,
        key=client.key,
        now=starts_at,
        by=by,
        reason=REASON,
    )
    if client.moves_to:
        at = midnight(story.day(client.moves_on_day), client.timezone)
        change_plan(subscription, plans[client.moves_to], at=at, now=at, by=by, reason="Outgrew the Starter plan")
    if (end := client.ends_at(story)) is not None:
        cancel(subscription, at=end, now=end, by=by, reason="Project ended")
    return subscription
