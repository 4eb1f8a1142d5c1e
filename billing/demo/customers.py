"""The customers of the demo company in several countries, and the course of their subscriptions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction

from billing.demo.timeline import Timeline, midnight
from catalog.models import Plan
from customers.accounts import save_customer
from customers.kinds import EInvoiceFormat, TaxTreatment
from customers.models import Alignment, Customer, Subscription
from customers.subscriptions import cancel, change_plan, subscribe

MADE_ON = "demo_made_on"
REASON = "Demo"
TRIAL_DAYS = 14


@dataclass(frozen=True)
class DemoCustomer:
    """A customer: its location, its plan from a day of the first month, and its usage.

    If `begins_on_day` is None, the subscription is in a trial that began ten days before the demo was created. Without
    a `plan` there is no subscription. `requests_a_day` is the usage of a working day in the first month.
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
        """Return the lookup key of its subscription."""
        return f"{self.external_id}-1"

    def starts_at(self, timeline: Timeline) -> datetime:
        if self.begins_on_day is None:
            return midnight(timeline.made_on - timedelta(days=10), self.timezone)
        return midnight(timeline.day(self.begins_on_day), self.timezone)

    def ends_at(self, timeline: Timeline) -> datetime | None:
        """Return when the subscription was canceled, if it was."""
        return midnight(timeline.day(self.cancelled_on_day), self.timezone) if self.cancelled_on_day else None


BRIGHTWATER, KESTREL, MIRAI = "brightwater-analytics", "kestrel-robotics", "mirai-denki"
MONSOON, PALISADE, TINTA, QUAYSIDE = "monsoon-commerce", "palisade-games", "tinta-estudio", "quayside-legal"
COPPERLINE, ALDER = "copperline-logistics", "alder-labs"
ANNIVERSARY = Alignment.ANNIVERSARY

CUSTOMERS = (
    DemoCustomer(BRIGHTWATER, "Brightwater Analytics GmbH", "DE", "Berlin", "EUR", "Europe/Berlin", "scale", 190, 31),
    DemoCustomer(KESTREL, "Kestrel Robotics Inc.", "US", "Boston", "USD", "America/New_York", "scale", 150, 24),
    DemoCustomer(MIRAI, "Mirai Denki KK", "JP", "Tokyo", "JPY", "Asia/Tokyo", "scale", 130, 18),
    DemoCustomer(
        "fjord-health", "Fjord Health AS", "NO", "Oslo", "EUR", "Europe/Oslo", "starter", 60, 7, None, ANNIVERSARY
    ),
    DemoCustomer("harbour-pine", "Harbour & Pine Ltd", "GB", "London", "EUR", "Europe/London", "starter", 70, 8),
    DemoCustomer(QUAYSIDE, "Quayside Legal LLP", "IE", "Dublin", "EUR", "Europe/Dublin", "starter", 45, 6),
    DemoCustomer(
        TINTA, "Tinta Estudio SL", "ES", "Madrid", "EUR", "Europe/Madrid", "starter", 50, 5, cancelled_on_day=21
    ),
    DemoCustomer(
        *(COPPERLINE, "Copperline Logistics LLC", "US", "Chicago", "USD", "America/Chicago", "starter", 110, 15),
        moves_to="scale",
        moves_on_day=16,
    ),
    DemoCustomer(
        *(PALISADE, "Palisade Games Inc.", "US", "Los Angeles", "USD", "America/Los_Angeles", "starter", 90, 6),
        begins_on_day=5,
        alignment=ANNIVERSARY,
    ),
    DemoCustomer(
        *("outback-telemetry", "Outback Telemetry Pty", "AU", "Sydney", "USD", "Australia/Sydney", "scale", 100, 12),
        begins_on_day=11,
        alignment=ANNIVERSARY,
    ),
    DemoCustomer(
        *(MONSOON, "Monsoon Commerce Pvt", "IN", "Mumbai", "USD", "Asia/Kolkata", "starter", 80, 9),
        begins_on_day=17,
        alignment=ANNIVERSARY,
    ),
    DemoCustomer(
        *("sakura-press", "Sakura Press", "JP", "Kyoto", "JPY", "Asia/Tokyo", "starter", 40, 4),
        begins_on_day=20,
        alignment=ANNIVERSARY,
    ),
    DemoCustomer(ALDER, "Alder Labs BV", "NL", "Utrecht", "EUR", "Europe/Amsterdam", "", 0, 0),
)
PRINTED = CUSTOMERS[0]
# Customers who get electronic invoices, one in each format. The VAT IDs are made up; their check digits are right.
REVERSE_CHARGE = {"tax_treatment": TaxTreatment.REVERSE_CHARGE}
ELECTRONIC: Mapping[str, Mapping[str, str]] = {
    BRIGHTWATER: {
        "einvoice_format": EInvoiceFormat.XRECHNUNG,
        "buyer_reference": "BW-ACCOUNTS",
        "address_postal_code": "10115",
    },
    QUAYSIDE: REVERSE_CHARGE
    | {
        "einvoice_format": EInvoiceFormat.PEPPOL,
        "buyer_reference": "LEGAL-7",
        "tax_id": "IE1234567FA",
        "peppol_id": "9935:IE1234567FA",
    },
    TINTA: REVERSE_CHARGE | {"einvoice_format": EInvoiceFormat.FACTUR_X, "tax_id": "ESB12345674"},
}


def load_timeline(now: datetime) -> Timeline:
    """Return the timeline stored with the customers in the database, or a new one made today (UTC)."""
    metadata = Customer.objects.filter(external_id=PRINTED.external_id).values_list("metadata", flat=True).first()
    if metadata and MADE_ON in metadata:
        return Timeline(datetime.fromisoformat(metadata[MADE_ON]).date())
    return Timeline(now.astimezone(UTC).date())


def make_customers(timeline: Timeline, *, by: User) -> None:
    """Create the missing customers. Safe to repeat."""
    existing = set(Customer.objects.values_list("external_id", flat=True))
    for customer in CUSTOMERS:
        if customer.external_id not in existing:
            save_customer(_build_customer(customer, timeline), by=by, reason=REASON)


def _build_customer(customer: DemoCustomer, timeline: Timeline) -> Customer:
    return Customer(
        external_id=customer.external_id,
        name=customer.name,
        email=f"billing@{customer.external_id}.example",
        currency=customer.currency,
        timezone=customer.timezone,
        address_city=customer.city,
        address_country=customer.country,
        metadata={MADE_ON: timeline.made_on.isoformat()},
        **ELECTRONIC.get(customer.external_id, {}),
    )


def make_subscriptions(timeline: Timeline, plans: Mapping[str, Plan], *, by: User) -> list[Subscription]:
    """Create the missing subscriptions with their plan changes and cancellations, and return all. Safe to repeat."""
    return [make_subscription(customer, timeline, plans, by=by) for customer in CUSTOMERS if customer.plan]


@transaction.atomic
def make_subscription(
    customer: DemoCustomer, timeline: Timeline, plans: Mapping[str, Plan], *, by: User
) -> Subscription:
    """Return the customer's subscription by its key, creating it if needed, with each change at its date."""
    if existing := Subscription.objects.filter(key=customer.key).first():
        return existing
    starts_at = customer.starts_at(timeline)
    subscription = subscribe(
        Customer.objects.get(external_id=customer.external_id),
        plans[customer.plan],
        currency=customer.currency,
        interval="month",
        alignment=customer.alignment,
        starts_at=starts_at,
        trial_days=TRIAL_DAYS if customer.begins_on_day is None else 0,
        key=customer.key,
        now=starts_at,
        by=by,
        reason=REASON,
    )
    if customer.moves_to:
        at = midnight(timeline.day(customer.moves_on_day), customer.timezone)
        change_plan(subscription, plans[customer.moves_to], at=at, now=at, by=by, reason="Outgrew the Starter plan")
    if (end := customer.ends_at(timeline)) is not None:
        cancel(subscription, at=end, now=end, by=by, reason="Project ended")
    return subscription
