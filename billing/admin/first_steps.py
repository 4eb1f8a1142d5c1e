"""The checklist on the Home page of a new installation."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import reverse

from catalog.models import Feature, PlanVersion
from catalog.models.plans import VersionState
from customers.models import Customer, Subscription
from events.models import ApiKey, Event, KnownId


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
        "Set up a plan",
        "A recurring fee, and the features that you charge for: which events count, free units and prices.",
        reverse("admin:billing_plan_setup"),
        Feature.objects.exists() and PlanVersion.objects.filter(state=VersionState.PUBLISHED).exists(),
    )
    yield SetupStep(
        "Create a customer and a subscription",
        "Your events carry the external customer ID.",
        _subscription_url(),
        Subscription.objects.exists(),
    )
    yield SetupStep(
        "Create an API key",
        "Your systems use it to send events. The key is shown only once.",
        reverse("admin:events_apikey_add"),
        ApiKey.objects.filter(is_self_test=False).exists(),
    )
    yield SetupStep(
        "Send an event",
        "It appears on the Events dashboard within a second.",
        reverse("admin:events_event_changelist"),
        Event.objects.exists() or KnownId.objects.exists(),
        is_curl=True,
    )


def _subscription_url() -> str:
    """Return where the first customer is created or, if there is one, subscribed."""
    customer = Customer.objects.active().order_by("pk").first()
    if customer is None:
        return reverse("admin:customers_customer_add")
    return reverse("admin:customers_subscription_add", query={"customer": customer.pk})
