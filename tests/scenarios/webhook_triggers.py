"""Changes to the sample company that send every kind of webhook: billing, payments, credit, usage, cancellation."""

from datetime import timedelta

from django.utils import timezone

from billing.lifecycle.finalize import finalize
from billing.lifecycle.recompute import recompute
from billing.lifecycle.void import void
from billing.models import Invoice
from customers.models import Subscription
from customers.subscriptions import withdraw_scheduled_change
from events.alerts.causes import notify_new_causes
from events.alerts.usage import check_alerts
from events.ledger.processing import process_batch
from tests.api import Api
from tests.factories import make_plan
from tests.scenarios.schema import SampleIds


def pay_and_credit(api: Api, ids: SampleIds) -> None:
    """Pay, credit and refund through the API, and move credit."""
    reason = {"reason": "Wrong"}
    api.post(f"payments/{ids['payment_id'][0]}/reverse", reason)
    note = ids["credit_note_id"][0]
    api.post(f"creditnotes/{note}/finalize")
    api.post(f"creditnotes/{note}/void", reason)
    invoice = ids["destination_id"][0]
    api.put(f"invoices/{invoice}/payment", {"payment_status": "SUCCEEDED"})
    line = {"invoice_line_item_id": ids["invoice_line_item_id"][0], "amount": "10.00"}
    credit_note = {"invoice_id": invoice, "reason": "BILLING_ERROR", "line_items": [line], "process_credit_note": True}
    api.post("creditnotes", credit_note, 201)
    refund = next(payment for payment in api.get("payments")["items"] if payment["kind"] == "refund")
    api.post(f"payments/{refund['id']}/reverse", reason)
    wallet = ids["wallet_id"][0]
    api.put(f"wallets/{wallet}", {"name": "Prepaid 2026"})
    api.post(f"wallets/{wallet}/terminate")


def bill(draft: Invoice) -> None:
    """Recalculate a draft, finalize it and void it."""
    now = timezone.now()
    recompute(draft, now=now)
    void(finalize(draft, now=now), reason="Wrong", by=None, now=now)


def exceed_alert(api: Api) -> None:
    """Exceed the alert's threshold in the current period, and check alerts and problems."""
    now = timezone.now()
    for number in range(15):
        body = {"event_name": "api.calls", "external_customer_id": "acme", "event_id": f"more-{number}"}
        api.post("events", body | {"timestamp": now.isoformat()}, 202)
    process_batch()
    check_alerts(now=now + timedelta(minutes=1))
    notify_new_causes(now=now)


def change_and_cancel(api: Api, ids: SampleIds) -> None:
    """Change a subscription in every way, and cancel it."""
    address = f"subscriptions/{ids['subscription_id'][0]}"
    api.post(f"{address}/pause", {})
    api.post(f"{address}/resume", {})
    plan_change = {
        "target_plan_id": make_plan(name="Scale", key="scale").public_id,
        "proration_behavior": "create_prorations",
    }
    api.post(f"{address}/change/execute", plan_change)
    api.post(f"{address}/cancel", {"cancellation_type": "end_of_period"})
    subscription = Subscription.objects.get(public_id=ids["subscription_id"][0])
    withdraw_scheduled_change(subscription, now=timezone.now(), by=None)
    api.post(f"{address}/cancel", {"cancellation_type": "immediate"})


def trigger_all_webhooks(api: Api, ids: SampleIds, draft: Invoice) -> None:
    """Make every change that sends a webhook."""
    bill(draft)
    pay_and_credit(api, ids)
    exceed_alert(api)
    change_and_cancel(api, ids)
