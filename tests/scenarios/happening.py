"""What can happen to the company of these tests, so that every message is told: billed, paid, credited, used, ended."""

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
from tests.scenarios.described import Named


def settle(api: Api, named: Named) -> None:
    """Pay, credit and refund through the API, and move credit."""
    reason = {"reason": "Wrong"}
    api.post(f"payments/{named['payment_id'][0]}/reverse", reason)
    note = named["credit_note_id"][0]
    api.post(f"creditnotes/{note}/finalize")
    api.post(f"creditnotes/{note}/void", reason)
    invoice = named["destination_id"][0]
    api.put(f"invoices/{invoice}/payment", {"payment_status": "SUCCEEDED"})
    line = {"invoice_line_item_id": named["invoice_line_item_id"][0], "amount": "10.00"}
    back = {"invoice_id": invoice, "reason": "BILLING_ERROR", "line_items": [line], "process_credit_note": True}
    api.post("creditnotes", back, 201)
    refund = next(one for one in api.get("payments")["items"] if one["kind"] == "refund")
    api.post(f"payments/{refund['id']}/reverse", reason)
    wallet = named["wallet_id"][0]
    api.put(f"wallets/{wallet}", {"name": "Prepaid 2026"})
    api.post(f"wallets/{wallet}/terminate")


def bill(draft: Invoice) -> None:
    """Work a draft out anew and finalize it; void it again."""
    now = timezone.now()
    recompute(draft, now=now)
    void(finalize(draft, now=now), reason="Wrong", by=None, now=now)


def use(api: Api) -> None:
    """Use more than the alert is set to, in the period that holds now, and let problems and alerts be looked for."""
    now = timezone.now()
    for number in range(15):
        body = {"event_name": "api.calls", "external_customer_id": "acme", "event_id": f"more-{number}"}
        api.post("events", body | {"timestamp": now.isoformat()}, 202)
    process_batch()
    check_alerts(now=now + timedelta(minutes=1))
    notify_new_causes(now=now)


def change_and_end(api: Api, named: Named) -> None:
    """Change a subscription in every way, and end it."""
    address = f"subscriptions/{named['subscription_id'][0]}"
    api.post(f"{address}/pause", {})
    api.post(f"{address}/resume", {})
    moved = {
        "target_plan_id": make_plan(name="Scale", key="scale").public_id,
        "proration_behavior": "create_prorations",
    }
    api.post(f"{address}/change/execute", moved)
    api.post(f"{address}/cancel", {"cancellation_type": "end_of_period"})
    subscription = Subscription.objects.get(public_id=named["subscription_id"][0])
    withdraw_scheduled_change(subscription, now=timezone.now(), by=None)
    api.post(f"{address}/cancel", {"cancellation_type": "immediate"})


def let_all_happen(api: Api, named: Named, draft: Invoice) -> None:
    """Let everything happen once that anybody is told of."""
    bill(draft)
    settle(api, named)
    use(api)
    change_and_end(api, named)
