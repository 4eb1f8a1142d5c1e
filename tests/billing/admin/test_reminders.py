"""Reminders in the admin: schedules with their steps, what is planned, pauses, and tasks on Home."""

from datetime import date, timedelta

import pytest
from django.utils import timezone

from billing.models import Reminder, ReminderPause, ReminderSchedule
from billing.reminders.planning import company_day
from billing.reminders.schedules import schedule_of
from tests.admin_pages import count_queries, submit, text_of, url
from tests.billing.reminders.world import make_payer, make_schedule, make_unpaid, remind
from tests.factories import make_customer

pytestmark = pytest.mark.django_db


def test_a_schedule_begins_with_the_usual_steps_and_sends_nothing_until_it_has_a_day(staff_client):
    page = staff_client.post(url("billing_reminderschedule_add"), {"name": "Standard"}, follow=True)
    assert "Choose the day from which it reminds" in text_of(page)
    schedule = ReminderSchedule.objects.get()
    assert (schedule.is_default, schedule.starts_on) == (True, None)
    assert list(schedule.steps.values_list("days", flat=True)) == [-3, 0, 7, 14, 30]
    staff_client.post(url("billing_reminderschedule_add"), {"name": "Key accounts"})
    gentle = ReminderSchedule.objects.get(name="Key accounts")
    assert not gentle.is_default
    submit(staff_client, url("billing_reminderschedule_make_default_one", gentle.pk))
    assert ReminderSchedule.objects.get(is_default=True) == gentle
    assert "-3, 0, +7, +14, +30" in text_of(staff_client.get(url("billing_reminderschedule_changelist")))


def test_a_customer_gets_another_schedule_on_its_page(staff_client):
    make_schedule()
    gentle, customer = make_schedule(name="Key accounts", is_default=False), make_customer()
    address = url("customers_customer_choose_reminders", customer.pk)
    assert "Default (Standard)" in text_of(staff_client.get(address))
    submit(staff_client, address, schedule=gentle.pk)
    assert schedule_of(customer) == gentle


def test_what_is_planned_is_shown_in_money_and_pauses_change_it(staff_client):
    today = company_day(timezone.now())
    make_schedule({"days": 7, "email": "reminder", "attachment": "statement"}, starts_on=date(2026, 1, 1))
    due_at = timezone.now() - timedelta(days=6)
    first, second = (make_unpaid(amount, due_at=due_at) for amount in ("100", "250.50"))
    page = text_of(staff_client.get(url("billing_planned_reminders")))
    assert f"{today + timedelta(days=1):%A}" in page
    assert "2 reminders Left to pay $350.50" in page
    assert "7 days after the due date Payment reminder with statement $100.00" in page
    promise = {"kind": "promise", "reason": "Pays on Friday", "promised_on": today + timedelta(days=3)}
    submit(staff_client, url("billing_invoice_pause_reminders_one", first.pk), **promise)
    page = text_of(staff_client.get(url("billing_planned_reminders")))
    assert "1 reminder Left to pay $250.50" in page
    assert "Pays on Friday" in text_of(staff_client.get(first.get_absolute_url()))
    submit(
        staff_client, url("customers_customer_pause_all_reminders", second.customer_id), kind="other", reason="Merger"
    )
    assert "0 reminders" in text_of(staff_client.get(url("billing_planned_reminders")))
    assert "Reminders are paused (other reason): Merger" in text_of(
        staff_client.get(second.customer.get_absolute_url())
    )
    pause = ReminderPause.objects.get(invoice=None)
    submit(staff_client, url("billing_reminderpause_end_one", pause.pk))
    assert "1 reminder Left to pay $250.50" in text_of(staff_client.get(url("billing_planned_reminders")))


def test_a_refused_pause_keeps_the_dialog_open(staff_client):
    invoice = make_unpaid("100")
    answers = {"kind": "promise", "reason": "Soon"}
    response = submit(staff_client, url("billing_invoice_pause_reminders_one", invoice.pk), **answers)
    assert "Enter the date on which the customer promised to pay." in text_of(response)
    assert not ReminderPause.objects.exists()


def test_a_task_is_on_home_until_it_is_handled(staff_client):
    make_schedule({"days": 30, "needs_person": True})
    make_unpaid("100")
    assert remind(12, 1) == 1
    assert "Invoices to collect 1" in text_of(staff_client.get(url("index")))
    task = Reminder.objects.get()
    submit(staff_client, url("billing_reminder_handle_one", task.pk), reason="Two instalments")
    assert "Invoices to collect" not in text_of(staff_client.get(url("index")))
    assert "Two instalments" in text_of(staff_client.get(task.get_absolute_url()))


def test_the_list_takes_the_same_number_of_queries_for_any_number_of_reminders(staff_client):
    make_schedule()
    customer = make_payer()
    make_unpaid("100", customer=customer)
    remind(11, 8)
    before = count_queries(staff_client, url("billing_reminder_changelist"))
    for _ in range(3):
        make_unpaid("100", customer=customer)
    remind(11, 8)
    assert count_queries(staff_client, url("billing_reminder_changelist")) == before
