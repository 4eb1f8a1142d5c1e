"""The checklist on the Home page of a new installation."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import reverse

from catalog.models import Feature, Plan
from customers.models import Customer, Subscription
from events.models import ApiKey, Event


@dataclass(frozen=True)
class SetupStep:
    """A step of setting up an installation, with a link to the page where it is done."""

    name: str
    text: str
    url: str
    is_done: bool
    is_curl: bool = False


def first_steps() -> Iterator[SetupStep]:
    """Yield the steps to the first billed event, in order. Each checks whether a table has a row."""
    yield SetupStep(
        "Create a feature",
        "What you charge for: an event name, and how its events are aggregated.",
        reverse("admin:catalog_feature_add"),
        Feature.objects.exists(),
    )
    yield SetupStep(
        "Create a plan",
        "Prices and free units of your features. Publish its first version.",
        reverse("admin:catalog_plan_add"),
        Plan.objects.exists(),
    )
    yield SetupStep(
        "Create a customer and a subscription",
        "Your events carry the customer's external ID.",
        reverse("admin:customers_subscription_add" if Customer.objects.exists() else "admin:customers_customer_add"),
        Subscription.objects.exists(),
    )
    yield SetupStep(
        "Create an API key",
        "Your systems use it to send events. The key is shown only once.",
        reverse("admin:events_apikey_add"),
        ApiKey.objects.exists(),
    )
    yield SetupStep(
        "Send an event",
        "It appears on the Events dashboard within a second.",
        reverse("admin:events_event_changelist"),
        Event.objects.exists(),
        is_curl=True,
    )
