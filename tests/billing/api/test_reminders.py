"""Reminders through the API: schedules, what is planned and sent, pauses and tasks."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing.models import ReminderSchedule
from billing.reminders.planning import company_day
from tests.billing.reminders.world import make_schedule, make_unpaid, remind
from tests.factories import make_customer

pytestmark = pytest.mark.django_db
STEPS = [
    {"days": 7, "email": "reminder"},
    {"days": 30, "email": "final_notice", "needs_person": True, "fee_amount": "40.00", "fee_currency": "USD"},
]


def test_a_schedule_is_created_replaced_assigned_and_deleted(api):
    usual = api.post("reminder-schedules", {"name": "Usual", "is_default": True}, 201)
    assert ([step["days"] for step in usual["steps"]], usual["starts_on"]) == ([-3, 0, 7, 14, 30], None)
    body = {"name": "Strict", "starts_on": "2026-12-01", "steps": STEPS, "is_default": True}
    strict = api.post("reminder-schedules", body | {"minimums": [{"currency": "usd", "amount": "5"}]}, 201)
    assert strict["steps"][1]["fee_amount"] == "40.00"
    assert strict["minimums"] == [{"currency": "USD", "amount": "5.00"}]
    assert not ReminderSchedule.objects.get(name="Usual").is_default
    customer = make_customer()
    address = f"customers/{customer.public_id}/reminder-schedule"
    assert api.get(address)["reminder_schedule_id"] == strict["id"]
    assert api.put(address, {"reminder_schedule_id": usual["id"]})["is_default"] is False
    assert "1 customer has this schedule" in api.delete(f"reminder-schedules/{usual['id']}", status=400)["message"]
    api.put(address, {"reminder_schedule_id": None})
    api.delete(f"reminder-schedules/{usual['id']}", status=204)
    changed = api.put(f"reminder-schedules/{strict['id']}", {"name": "Strict", "steps": STEPS[:1]})
    assert [step["days"] for step in changed["steps"]] == [7]
    api.post("reminder-schedules", {"name": "Strict"}, 409)


@pytest.mark.parametrize(
    "step",
    [
        {"days": 0, "email": "reminder", "needs_person": True},
        {"days": 7},
        {"days": 7, "email": "invoice"},
        {"days": 7, "email": "reminder", "fee_amount": "40.00"},
        {"days": 400, "email": "reminder"},
    ],
)
def test_steps_that_make_no_sense_are_refused(api, step):
    api.post("reminder-schedules", {"name": "Odd", "steps": [step]}, 400)
    assert not ReminderSchedule.objects.exists()


def test_planned_reminders_have_totals_by_currency(api):
    make_schedule({"days": 7, "email": "reminder"}, starts_on=company_day(timezone.now()) - timedelta(days=30))
    invoice = make_unpaid("100", due_at=timezone.now() - timedelta(days=6))
    today, tomorrow = api.get("reminders/planned")
    assert today["items"] == []
    assert tomorrow["totals"] == [{"currency": "USD", "amount": "100.00", "reminders": 1}]
    assert (tomorrow["items"][0]["invoice_id"], tomorrow["items"][0]["days"]) == (invoice.public_id, 7)


def test_an_invoice_is_paused_and_resumed_and_a_task_handled(api):
    make_schedule({"days": 30, "needs_person": True})
    invoice = make_unpaid("100")
    body = {"invoice_id": invoice.public_id, "kind": "dispute", "reason": "Wrong hours"}
    pause = api.post("reminder-pauses", body, 201)
    assert (pause["promised_on"], pause["created_by"], remind(12, 1)) == (None, "API", 0)
    api.post("reminder-pauses", body | {"kind": "promise"}, 400)
    api.post("reminder-pauses", body | {"customer_id": invoice.customer.public_id}, 400)
    assert api.post(f"reminder-pauses/{pause['id']}/end", {})["ended_at"]
    assert remind(12, 1) == 1
    (reminder,) = api.get("reminders", to_do="true")["items"]
    assert (reminder["amount"], reminder["email_id"], reminder["needs_person"]) == ("100.00", None, True)
    handled = api.post(f"reminders/{reminder['id']}/handled", {"reason": "Two instalments"})
    assert handled["handled_reason"] == "Two instalments"
    assert api.get("reminders", to_do="true")["items"] == []
