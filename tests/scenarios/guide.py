"""Set-up for the guide's tests: a customer, a priced feature, and helpers for the API, the worker and the debugger."""

import html
import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from billing.invoicing.upcoming import upcoming
from catalog.models import Feature
from customers.models import Customer, Subscription
from events.access.keys import make_key
from events.ledger.processing import process_batch
from events.models import Event, EventState
from tests.factories import make_customer, make_feature, make_subscription, make_version

DEBUGGER = "/admin/events/debugger/"


@dataclass
class Guide:
    """The set-up of a guide test. Acme has paid $0.50 per credit since three days ago."""

    staff: Client
    customer: Customer
    credits: Feature
    subscription: Subscription | None
    key: str
    sender: Client = field(default_factory=Client)

    def send(
        self, *, key: str | None = None, path: str = "/v1/events", raw: bytes | None = None, **event: Any
    ) -> HttpResponse:
        """Post an event as a sender does; `raw` sends these bytes instead."""
        body = raw if raw is not None else json.dumps(event).encode()
        headers = {"x-api-key": self.key if key is None else key}
        return self.sender.post(path, body, content_type="application/json", headers=headers)  # type: ignore[return-value]

    def accepted(self, **event: Any) -> str:
        """Send an event that the API accepts, let the worker process it, and return its id."""
        given = {"event_name": "model.usage", "external_customer_id": "acme", "properties": {"credits": 2}} | event
        answer = self.send(**given)
        assert answer.status_code == 202, answer.content
        process_batch()
        return str(json.loads(answer.content)["event_id"])

    def page(self, event_id: str = "") -> str:
        """Return the debugger's page of an event, or the live view, as plain text with its tags."""
        answer = self.staff.get(DEBUGGER, {"event": event_id} if event_id else {})
        assert answer.status_code == 200
        return " ".join(html.unescape(answer.content.decode()).split())

    def fix(self, event_id: str, label: str, **filled: str) -> str:
        """Open the fix with this label, preview it, apply it, and return the resulting page."""
        page = self.staff.get(DEBUGGER, {"event": event_id}).content.decode()
        links = {html.unescape(text).rstrip("…"): html.unescape(url) for url, text in BUTTONS.findall(page)}
        assert label in links, sorted(links)
        given = dict(parse_qsl(urlsplit(links[label]).query)) | filled
        self.staff.get(f"{DEBUGGER}fix/", given | {"previewed": "1"})
        shown = self.staff.post(f"{DEBUGGER}fix/effect/", given).content.decode()
        assert "Apply" in shown, (given, shown)
        answer = self.staff.post(f"{DEBUGGER}fix/", given | {"reason": "Found by the guide"}, follow=True)
        return " ".join(html.unescape(answer.content.decode()).split())

    def due(self) -> Decimal:
        """Return the total of the upcoming invoice."""
        assert self.subscription is not None
        return upcoming(self.subscription.pk, now=timezone.now()).total

    def is_counted(self, event_id: str) -> bool:
        return Event.objects.get(event_id=event_id).state == EventState.COUNTED


BUTTONS = re.compile(r'<a\s+class="ch-button[^"]*"\s+href="([^"]*)"\s*>\s*([^<]*?)\s*</a>')


def make_guide(staff: Client, *, is_subscribed: bool = True, free_units: Any = None, **feature: Any) -> Guide:
    """Set up the feature, a plan at $0.50 per credit, the customer Acme, and a sender with an API key."""
    meter = make_feature(**{"name": "Credits", "event_name": "model.usage", "field": "credits"} | feature)
    customer = make_customer(external_id="acme", name="Acme")
    version = make_version(
        {"feature": meter, "unit_amount": Decimal("0.50")},
        free_units={meter: free_units} if free_units else None,
        name="Growth",
    )
    start = begin()
    subscription = None
    if is_subscribed:
        subscription = make_subscription(customer=customer, plan=version, starts_at=start, now=start)
    return Guide(staff, customer, meter, subscription, make_key("sender")[1])


def begin() -> datetime:
    """Return the start of the subscriptions."""
    return timezone.now() - timedelta(days=3)
