"""Reminders go out once per step, on the company's day, of what is unpaid, undisputed and worth it."""

from datetime import date

import pytest
from django.core.exceptions import ValidationError

from billing.lifecycle.finalize import finalize
from billing.models import CompanyProfile, Email, Invoice, PauseKind, Reminder, ReminderPause
from billing.notifications import notify_reminder
from billing.refusals import CannotChange
from billing.reminders import taking
from billing.reminders.pausing import end_pause, pause_reminders
from billing.reminders.planning import plan_reminders, plan_tomorrow
from billing.reminders.schedules import assign_schedule
from billing.reminders.taking import mark_reminder_handled, take_step
from billing.sending.delivering import deliver_due
from config.refusals import Refused
from customers.models import SubscriptionPhase
from tests.billing.invoices import at_once
from tests.billing.late import invoice_at
from tests.billing.reminders.world import deliver, make_payer, make_schedule, make_unpaid, on, remind
from tests.billing.settlement.test_payments import pay
from tests.billing.world import D, utc
from tests.factories import make_subscription, make_user, make_version

pytestmark = pytest.mark.django_db
TASK = {"days": 30, "needs_person": True}


def taken(invoice) -> list[int]:
    return list(Reminder.objects.filter(invoice=invoice).order_by("days").values_list("days", flat=True))


def test_the_usual_steps_are_emailed_once_each_until_the_invoice_is_paid():
    make_schedule()
    invoice = make_unpaid("100")
    assert [remind(10, 28), remind(10, 29), remind(10, 29), remind(11, 1), remind(11, 8)] == [0, 1, 0, 1, 1]
    pay(invoice, "40", now=on(11, 9))
    assert remind(11, 15) == 1
    emails = list(Email.objects.order_by("pk"))
    assert [(email.kind, email.is_automatic, email.to) for email in emails] == [
        *[("due_soon", True, ["anna@example.com"])],
        *[("reminder", True, ["anna@example.com"])] * 2,
    ]
    assert emails[0].subject == f"Invoice {invoice.number} is due on 1 Nov 2026"
    assert "Left to pay: $60.00." in emails[2].text
    assert (emails[2].first_day, emails[2].last_day) == (date(2026, 10, 1), date(2026, 11, 15))
    pay(invoice, "60", now=on(11, 16))
    assert remind(12, 1) == 0
    assert taken(invoice) == [-3, 0, 7, 14]


def test_a_joint_invoice_is_reminded_of_once_with_what_is_left_on_all_sections():
    make_schedule()
    acme = make_payer(joins_invoices=True)
    for amount in (10, 20, 30):
        plan = make_version({"kind": "fixed", "cadence": "arrears", "unit_amount": D(amount)})
        make_subscription(customer=acme, plan=plan, starts_at=utc(2026, 9, 1))
    first, *_ = invoice_at(utc(2026, 10, 2))  # due on 1 November
    assert remind(11, 8) == 1
    pay(first, "10", now=on(11, 9))
    assert [remind(11, 9), remind(11, 15), remind(11, 15)] == [0, 1, 0]
    emails = Email.objects.order_by("pk")
    assert [email.subject.partition(" was ")[0] for email in emails] == ["Reminder: invoice INV-000001"] * 2
    assert ["Left to pay: $60.00." in emails[0].text, "Left to pay: $50.00." in emails[1].text] == [True, True]


def test_nothing_is_sent_without_a_schedule_or_before_it_begins():
    make_unpaid("100")
    assert remind(11, 8) == 0
    schedule = make_schedule(starts_on=None)
    assert remind(11, 8) == 0
    schedule.starts_on = date(2026, 11, 9)
    schedule.save()
    assert [remind(11, 8), remind(11, 9), remind(11, 15)] == [0, 0, 1]


def test_a_missed_day_is_made_up_for_by_the_latest_step_only():
    make_schedule()
    invoice = make_unpaid("100")
    assert remind(11, 20) == 1
    assert taken(invoice) == [14]


def test_the_day_is_the_companys_and_begins_at_eight():
    CompanyProfile.objects.create(name="Larkspur", timezone="Asia/Tokyo")
    make_schedule({"days": 7, "email": "reminder"})
    make_unpaid("100")
    assert remind(11, 7, 22) == 0  # 07:00 on 8 November in Tokyo
    assert remind(11, 7, 23) == 1


def test_two_workers_take_a_step_once_and_a_kill_before_the_commit_takes_none(transactional_db):
    make_schedule()
    invoice = make_unpaid("100")
    results = at_once(*[lambda: take_step(invoice, today=date(2026, 11, 8), now=on(11, 8))] * 2)
    assert sorted(result is None for result in results) == [False, True]
    assert Email.objects.count() == 1


def test_small_amounts_and_customers_of_other_schedules_are_left_alone():
    make_schedule(minimums={"USD": D(5)})
    quiet = make_schedule({"days": 60, "email": "reminder"}, name="Large customers", is_default=False)
    small, enough, large = make_unpaid("4.99"), make_unpaid("5"), make_unpaid("1000")
    assign_schedule(large.customer, quiet, by=None)
    assert remind(11, 8) == 1
    assert [taken(invoice) for invoice in (small, enough, large)] == [[], [7], []]
    assign_schedule(large.customer, None, by=None)
    assert remind(11, 8) == 1


def test_a_dispute_pauses_until_it_ends_and_a_promise_until_its_day_has_passed():
    make_schedule()
    customer, user = make_payer(), make_user()
    disputed, promised = make_unpaid("100", customer=customer), make_unpaid("200", customer=customer)
    pause = pause_reminders(
        customer, invoice=disputed, kind=PauseKind.DISPUTE, reason="Wrong hours", now=on(11, 2), by=user
    )
    for day in (10, 14):
        pause_reminders(
            customer,
            invoice=promised,
            kind=PauseKind.PROMISE,
            reason="Pays soon",
            promised_on=date(2026, 11, day),
            now=on(11, 2),
            by=user,
        )
    assert ReminderPause.objects.in_force(date(2026, 11, 2)).count() == 2
    assert [remind(11, 8), remind(11, 14)] == [0, 0]
    assert remind(11, 15) == 1
    assert taken(promised) == [14]
    end_pause(pause, now=on(11, 16), by=user)
    assert remind(11, 16) == 1
    pause_reminders(customer, kind=PauseKind.OTHER, reason="Merger", now=on(11, 17), by=user)
    assert remind(12, 1) == 0


def test_pauses_that_make_no_sense_are_refused_with_what_to_do():
    invoice = make_unpaid("100")
    about = {"invoice": invoice, "kind": PauseKind.PROMISE, "reason": "Soon", "now": on(11, 2), "by": None}
    with pytest.raises(CannotChange, match="Choose a promised date that isn't in the past"):
        pause_reminders(invoice.customer, promised_on=date(2026, 11, 1), **about)
    with pytest.raises(CannotChange, match="Enter the date on which the customer promised to pay"):
        pause_reminders(invoice.customer, **about)
    pay(invoice, "100")
    invoice.refresh_from_db()
    with pytest.raises(CannotChange, match="must be finalized, with an amount left to pay"):
        pause_reminders(invoice.customer, promised_on=date(2026, 11, 3), **about)


def test_a_waiting_reminder_is_not_sent_once_the_invoice_is_paid_or_paused():
    make_schedule()
    paid, paused = make_unpaid("100"), make_unpaid("200")
    assert remind(11, 8) == 2
    pay(paid, "100", now=on(11, 8))
    pause_reminders(paused.customer, kind=PauseKind.DISPUTE, reason="Wrong", now=on(11, 8), by=None)
    deliver_due(now=on(11, 8))
    problems = Email.objects.order_by("pk").values_list("state", "last_error")
    assert list(problems) == [
        ("skipped", f"Nothing is left to pay on {paid}."),
        ("skipped", "Reminders are paused (in dispute)."),
    ]


def test_a_reminder_is_sent_with_its_statement():
    make_schedule({"days": 14, "email": "reminder", "attachment": "statement"})
    make_unpaid("100")
    assert remind(11, 15) == 1
    deliver_due(now=on(11, 15))
    email = Email.objects.get()
    assert (email.state, email.attachment_name.startswith("statement")) == ("sent", True)


def test_what_a_customer_cant_get_is_noted_and_the_task_stays():
    make_schedule({"days": 30, "email": "final_notice", "needs_person": True})
    invoice = make_unpaid("100", customer=make_payer(receives_email=False))
    assert remind(12, 1) == 1
    reminder = Reminder.objects.get(invoice=invoice)
    assert (reminder.email.state, reminder.email.last_error) == ("skipped", "Emails are turned off for Anna Ltd.")
    assert list(Reminder.objects.to_do()) == [reminder]


def test_a_task_is_to_do_until_it_is_handled_or_the_invoice_is_paid():
    make_schedule(TASK)
    first, second = make_unpaid("100"), make_unpaid("200")
    assert remind(12, 1) == 2
    user = make_user()
    done = mark_reminder_handled(first.reminders.get(), reason="Two instalments", now=on(12, 2), by=user)
    assert (done.handled_by, done.handled_reason) == (user, "Two instalments")
    assert mark_reminder_handled(done, reason="Again", now=on(12, 3), by=None).handled_reason == "Two instalments"
    assert Reminder.objects.to_do().get().invoice == second
    pay(second, "200", now=on(12, 2))
    assert not Reminder.objects.to_do().exists()


def test_a_reminder_without_a_task_cannot_be_handled():
    make_schedule()
    make_unpaid("100")
    remind(11, 8)
    with pytest.raises(Refused, match="This reminder has no task"):
        mark_reminder_handled(Reminder.objects.get(), now=on(11, 8), by=None)


def test_the_last_step_pauses_the_subscription_only_if_the_customer_was_reminded():
    pausing = {"days": 30, "email": "final_notice", "pauses_subscription": True}
    make_schedule({"days": 14, "email": "reminder"}, pausing)
    customer = make_payer()
    reminded, missed = (make_subscription(customer=customer, starts_at=on(9, 1)) for _ in range(2))
    first = make_unpaid("100", customer=customer, subscription=reminded)
    assert remind(11, 15) == 1
    deliver()
    second = make_unpaid("200", customer=customer, subscription=missed)
    assert remind(12, 1) == 2
    paused, unpaused = first.reminders.get(days=30), second.reminders.get()
    assert (paused.has_paused, paused.needs_person, paused.note) == (True, False, "")
    assert (unpaused.has_paused, unpaused.needs_person) == (False, True)
    assert unpaused.note == "The subscription wasn't paused: no earlier reminder of the invoice was sent."
    phase = SubscriptionPhase.objects.filter(subscription=reminded).latest("starts_at")
    assert (phase.kind, phase.reason) == ("paused", f"Invoice {first} is unpaid 30 days after the due date")
    assert SubscriptionPhase.objects.get(subscription=missed).kind == "active"


def test_tomorrow_is_planned_without_what_is_still_to_be_sent_today():
    make_schedule()
    today, later = make_unpaid("100"), make_unpaid("200", due_at=on(11, 2))
    assert remind(11, 3) == 2
    days = date(2026, 11, 8), date(2026, 11, 9)
    assert [(row.invoice, row.step.days, row.amount) for row in plan_reminders(days[0])] == [(today, 7, D(100))]
    assert [(row.invoice, row.step.days, row.amount) for row in plan_tomorrow(*days)] == [(later, 7, D(200))]


def test_any_number_of_invoices_is_planned_with_the_same_number_of_queries(django_assert_num_queries):
    make_schedule()
    customer = make_payer()
    for _ in range(6):
        make_unpaid("100", customer=customer)
    with django_assert_num_queries(4):  # schedules, steps, minimums, invoices
        assert len(list(plan_reminders(date(2026, 11, 8)))) == 6


def test_a_fee_and_interest_become_a_draft_that_names_its_invoice():
    first = {"days": 7, "email": "reminder", "fee_amount": D(40), "fee_currency": "USD", "interest_percent": D(9)}
    second = {"days": 21, "email": "reminder", "interest_percent": D(9)}
    make_schedule(first, second)
    invoice = make_unpaid("1000")
    assert [remind(11, 8), remind(11, 22), remind(11, 22)] == [1, 1, 0]
    fee, interest = Invoice.objects.exclude(pk=invoice.pk).order_by("pk")
    # 1000 × 9% × 7 / 365 = 1.726, then from 8 to 22 November 1000 × 9% × 14 / 365 = 3.452
    assert list(fee.lines.order_by("position").values_list("description", "amount")) == [
        (f"Late fee for invoice {invoice}, due on 1 Nov 2026", D(40)),
        (
            f"Interest on $1,000.00 of invoice {invoice}: 9% a year from 1 Nov 2026 to 8 Nov 2026",
            D("1.73"),
        ),
    ]
    assert (fee.state, fee.kind, fee.total, interest.total) == ("draft", "one_off", D("41.73"), D("3.45"))
    assert [row.interest_until for row in invoice.reminders.order_by("days")] == [date(2026, 11, 8), date(2026, 11, 22)]
    finalize(fee, now=on(11, 8))
    remind(12, 31)
    assert not Invoice.objects.filter(late_fee_of__invoice=fee).exists()


def test_an_unexpected_error_stops_no_other_reminder(monkeypatch):
    make_schedule()
    failing, others = make_unpaid("100"), [make_unpaid("200"), make_unpaid("300")]
    notify = notify_reminder

    def fail(event, reminder, **rest):
        if reminder.invoice == failing:
            raise RuntimeError("disk full")
        notify(event, reminder, **rest)

    monkeypatch.setattr(taking, "notify_reminder", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        remind(11, 8)
    assert [taken(invoice) for invoice in (failing, *others)] == [[], [7], [7]]
    monkeypatch.undo()
    assert remind(11, 8) == 1


def test_a_fee_is_charged_in_its_own_currency_only():
    make_schedule({"days": 7, "email": "reminder", "fee_amount": D(40), "fee_currency": "EUR"})
    make_unpaid("1000")
    assert remind(11, 8) == 1
    assert Invoice.objects.count() == 1


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"days": 0, "needs_person": True}, "Only a step after the due date"),
        ({"days": 7}, "Choose an email, a task or a pause"),
        ({"days": 7, "email": "reminder", "fee_amount": D(5)}, "Enter a positive late fee with its currency"),
        ({"days": 7, "email": "reminder", "fee_amount": D(5), "fee_currency": "ABC"}, "ABC isn't a currency"),
        ({"days": 400, "email": "reminder"}, "365"),
    ],
)
def test_steps_that_make_no_sense_are_refused(step, message):
    with pytest.raises(ValidationError, match=message):
        make_schedule(step)
