"""The demo's company without its processes: a row of everything, with a few days of usage instead of two months."""

from datetime import UTC, datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.utils import timezone

from billing.demo.catalog import make_catalog
from billing.demo.company import make_company
from billing.demo.conditions import make_conditions
from billing.demo.customers import load_timeline, make_customers, make_subscriptions
from billing.demo.mistakes import list_late_events, list_mistakes
from billing.demo.payments import settle_invoices
from billing.demo.reminders import make_reminders
from billing.demo.usage import DemoEvent, list_usage
from billing.models import Wallet
from billing.settlement.wallets import grant_credit
from catalog.models import Feature
from config.alarms.kinds import AlarmKind
from config.alarms.raising import Finding, raise_alarm
from config.approvals.kinds import ApprovalKind
from config.webhooks.models import WebhookEndpoint
from customers.models import Subscription
from events.access.keys import make_key
from events.models import RefusedRequest, UsageAlert
from tests.approving import requested, require
from tests.billing.world import bill
from tests.events.senders import process, send
from tests.factories import make_user

USAGE = 400


def make_demo_company(*, by: User) -> None:
    """Create the company, send some of its usage with all mistakes, bill it, and settle some of the invoices."""
    now = timezone.now()
    timeline = load_timeline(now)
    make_company(by=by)
    plans = make_catalog(timeline, by=by)
    make_customers(timeline, by=by)
    make_conditions(timeline, now=now, by=by)
    usage = list_usage(timeline, until=now)
    send_events(usage[:: max(len(usage) // USAGE, 1)], received_at=now)
    send_events([event for mistake in list_mistakes(timeline) for event in mistake.events], received_at=now)
    send_events(usage[:1], received_at=now)
    make_subscriptions(timeline, plans, by=by)
    bill(now)
    settle_invoices(now=now, by=by)
    make_reminders(now=now, by=by)
    send_events(list_late_events(timeline), received_at=timezone.now())
    make_settings(now)


def make_settings(now: datetime) -> None:
    """Create what the demo doesn't have: an alert, a refused request, a webhook endpoint, a key."""
    subscription, feature = Subscription.objects.earliest("pk"), Feature.objects.metered().earliest("pk")
    UsageAlert.objects.create(subscription=subscription, feature=feature, threshold=Decimal(1000))
    RefusedRequest.objects.create(
        status=400, reason="duplicate_same_body", path="/v1/events", message="No JSON", minute=now, last_at=now
    )
    WebhookEndpoint.objects.create(url="https://hooks.example.com/billing", description="ERP", secret="whsec_dGVzdA==")
    make_key("Gateway")
    make_approval()
    raise_alarm(Finding(AlarmKind.DISK_LOW, "The disk has 1 GB left.", "Extend the disk."), now=now)


def make_approval() -> None:
    """Request the approval of credit, and leave the rule on."""
    require(ApprovalKind.CREDIT)
    wallet, mia = Wallet.objects.earliest("pk"), make_user(first_name="Mia", last_name="Chen")
    terms = {"kind": "promotional", "reason": "Outage of last month", "now": timezone.now()}
    requested(lambda: grant_credit(wallet, Decimal(250), by=mia, **terms), now=timezone.now())


def send_events(events: list[DemoEvent], *, received_at: datetime) -> None:
    """Put the demo's events into the inbox and process them."""
    for event in events:
        send(
            event["event_name"],
            customer=event["external_customer_id"],
            at=datetime.fromisoformat(event["timestamp"]).astimezone(UTC),
            event_id=event["event_id"],
            received_at=received_at,
            source=event.get("source", ""),
            **event.get("properties", {}),
        )
    process()
