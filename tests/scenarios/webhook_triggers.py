"""Changes to the sample company that send every kind of webhook: billing, payments, credit, usage, cancellation."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from django.contrib.auth.models import User
from django.utils import timezone

from billing.lifecycle.finalize import finalize
from billing.lifecycle.recompute import recompute
from billing.lifecycle.void import void
from billing.models import Email, EmailEventKind, Invoice, LateAdjustment, Simulation, Wallet
from billing.personal_data.erasing import continue_erasure
from billing.reminders.taking import take_step
from billing.sending.bounces import record_report
from billing.sending.delivering import deliver_due as deliver_emails
from billing.settlement.wallets import grant_credit
from catalog.models import Price
from config.alarms.kinds import AlarmKind
from config.alarms.raising import Finding, clear_alarm, raise_alarm
from config.approvals.kinds import ApprovalKind
from config.approvals.models import Approval, ApprovalRule
from config.approvals.people import Person
from config.approvals.requests import approve, expire_due, reject, withdraw
from customers.models import Customer, Subscription
from customers.subscriptions import withdraw_scheduled_change
from events.alerts.causes import notify_new_causes
from events.alerts.conflicts import notify_new_conflicts
from events.alerts.usage import check_alerts
from events.ledger.processing import process_batch
from tests.api import Api
from tests.approving import requested, require
from tests.billing.late import make_late_adjustment
from tests.billing.reminders.world import make_schedule, make_unpaid
from tests.billing.simulations import simulate_to_end
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
    api.post(f"payments/{ids['payment_id'][1]}/credit", {"amount": "5.00"})
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
    """Exceed the alert's threshold in the current period, and check alerts, problems and conflicts."""
    now = timezone.now()
    for number in range(15):
        body = {"event_name": "api.calls", "external_customer_id": "acme", "event_id": f"more-{number}"}
        api.post("events", body | {"timestamp": now.isoformat()}, 202)
    process_batch()
    check_alerts(now=now + timedelta(minutes=1))
    notify_new_causes(now=now)
    repeated = {"event_name": "api.calls", "external_customer_id": "nobody", "event_id": "more-0"}
    api.post("events", repeated, 202)
    process_batch()
    notify_new_conflicts(now=now)


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


def decide_and_manage_keys(api: Api, ids: SampleIds) -> None:
    """Waive late usage; create, rotate and revoke an API key."""
    subscription = Subscription.objects.get(public_id=ids["subscription_id"][0])
    price = Price.objects.filter(feature__isnull=False).earliest("pk")
    late = LateAdjustment.objects.filter(state="waiting").first() or make_late_adjustment(subscription, price)
    body = {"late_adjustment_ids": [late.public_id], "reason": "Agreed with the customer"}
    api.post("late-adjustments/waive", body)
    key = api.post("secrets/api/keys", {"name": "Reports", "scopes": ["read"]}, 201)["secret"]
    successor = api.post(f"secrets/api/keys/{key['id']}/rotate", {}, 201)["secret"]
    api.delete(f"secrets/api/keys/{successor['id']}", status=204)


def send_emails(api: Api) -> None:
    """Send emails that are accepted, bounce, and fail because their process died."""
    customer = api.post("customers", {"external_id": "mailed", "name": "Mailed Ltd", "email": "anna@example.com"}, 201)
    for month in ("01", "02"):
        days = {"from_date": f"2026-{month}-01", "to_date": f"2026-{month}-28"}
        api.post("emails", {"customer_id": customer["id"]} | days, 201)
    now = timezone.now()
    first, second = Email.objects.filter(state="pending", kind="statement").order_by("pk")
    Email.objects.filter(pk=second.pk).update(state="sending", next_try_at=None)
    with patch("billing.sending.delivering.time.monotonic", return_value=0.0):  # examples have no fraction of a second
        deliver_emails(now=now)
    Email.objects.filter(pk=first.pk).update(provider_id="provider-1")
    recipient, kind = "anna@example.com", EmailEventKind.BOUNCED
    record_report("provider-1", kind, key="1", recipient=recipient, detail="550 unknown", at=now, now=now)


def remind_and_handle(api: Api) -> None:
    """Remind of an unpaid invoice, and handle the task of the last step."""
    customer = api.post("customers", {"external_id": "slow", "name": "Slow Ltd", "email": "slow@example.com"}, 201)
    invoice = make_unpaid("80", customer=Customer.objects.get(public_id=customer["id"]))
    make_schedule({"days": 30, "email": "final_notice", "needs_person": True}, name="Strict")
    reminder = take_step(invoice, today=date(2026, 12, 1), now=timezone.now())
    api.post(f"reminders/{reminder.public_id}/handled", {"reason": "Agreed on two instalments"})


def erase_personal_data(api: Api) -> None:
    """Erase a customer's personal data."""
    customer = api.post("customers", {"external_id": "former", "name": "Former Customer Ltd"}, 201)
    api.post(f"customers/{customer['id']}/personal-data/erasure", {"reason": "Request of 28 November"})
    while continue_erasure(now=timezone.now()):
        pass


def close_month(api: Api, month: str) -> None:
    """Close a month, and reopen it."""
    api.post(f"month-ends/{month}/close", {})
    api.post(f"month-ends/{month}/reopen", {"reason": "A credit note is missing"})


def decide_about_approvals(ids: SampleIds) -> None:
    """Request approvals, and approve, reject and withdraw one each; let one fail and the others expire."""
    now, wallet = timezone.now(), Wallet.objects.get(public_id=ids["wallet_id"][0])
    mia, ben = User.objects.get(username="mia"), User.objects.get(username="ben")
    terms = {"kind": "promotional", "reason": "Outage of 28 February", "by": mia}

    def request(amount: int, **more: Any) -> Approval:
        return requested(lambda: grant_credit(wallet, Decimal(amount), now=now, **terms, **more), now=now)

    require(ApprovalKind.CREDIT)
    request(1)
    approve(request(2), by=Person(ben), reason="Agreed", now=now)
    reject(request(3), by=Person(ben), reason="Credit the invoice instead", now=now)
    withdraw(request(4), by=Person(mia), now=now)
    soon = now + timedelta(hours=1)
    approve(request(5, expires_at=soon), by=Person(ben), now=soon)
    expire_due(now=now + timedelta(days=8))
    ApprovalRule.objects.update(mode="off")


def open_and_clear_alarm() -> None:
    """Raise an alarm, and clear it."""
    finding = Finding(
        AlarmKind.SCHEDULE_MISSED,
        "The schedule “Verify the change log” didn't run at 02:50 UTC.",
        "Check that beat and a worker are running.",
        about="Verify the change log",
        url="/admin/django_celery_beat/periodictask/",
    )
    raise_alarm(finding, now=timezone.now())
    clear_alarm(finding.kind, finding.about, now=timezone.now())


def trigger_all_webhooks(api: Api, ids: SampleIds, draft: Invoice) -> None:
    """Make every change that sends a webhook."""
    open_and_clear_alarm()
    decide_about_approvals(ids)
    decide_and_manage_keys(api, ids)
    bill(draft)
    pay_and_credit(api, ids)
    exceed_alert(api)
    change_and_cancel(api, ids)
    send_emails(api)
    remind_and_handle(api)
    simulate_to_end(Simulation.objects.get(public_id=ids["simulation_id"][0]), now=timezone.now())
    close_month(api, ids["month"][0])
    erase_personal_data(api)
