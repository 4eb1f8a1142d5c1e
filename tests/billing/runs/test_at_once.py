"""New subscriptions and changes are invoiced at once: what they owe in advance, never twice, and as previewed."""

import threading
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from billing.invoicing.previews import preview_plan_change
from billing.invoicing.upcoming import upcoming
from billing.kinds import InvoiceKind
from billing.lifecycle.extra_lines import set_extra_lines
from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.one_off import Item
from billing.lifecycle.recompute import recompute
from billing.lifecycle.void import reissue
from billing.models import BillingState, Invoice
from billing.runs.at_once import invoice_change, invoice_start
from billing.runs.dry_run import expected_now
from customers.kinds import ChangeInvoicing
from customers.models import Alignment, Subscription
from customers.subscriptions import cancel, change_plan, get_period_end, pause, withdraw_scheduled_change
from tests.admin_pages import submit, text_of, url
from tests.billing.world import amounts, bill, invoices_of, utc
from tests.factories import make_customer, make_subscription, make_version

pytestmark = pytest.mark.django_db
D = Decimal
JANUARY, FEBRUARY, NEXT_JANUARY = utc(2026, 1, 1), utc(2026, 2, 1), utc(2027, 1, 1)


def yearly(amount, **values):
    fee = {"kind": "fixed", "model": "flat", "cadence": "advance", "interval": "year", "unit_amount": D(amount)}
    return make_version(fee, **values)


def monthly(amount, cadence="advance", **values):
    fee = {"kind": "fixed", "model": "flat", "cadence": cadence, "unit_amount": D(amount)}
    return make_version(fee, **values)


@pytest.fixture
def team() -> Subscription:
    """Subscribe to $499.00 a year from 1 January 2026, and invoice it."""
    subscription = make_subscription(plan=yearly(499), interval="year", starts_at=JANUARY, now=JANUARY)
    bill(JANUARY)
    return subscription


def upgrade(subscription, plan, at=FEBRUARY, now=None, **values):
    values.setdefault("invoicing", ChangeInvoicing.IMMEDIATE)
    change_plan(subscription, plan, at=at, now=now or at, by=None, reason="Agreed", **values)


def kinds(subscription):
    return [invoice.kind for invoice in invoices_of(subscription)]


# --- Plan changes -------------------------------------------------------------------------------------


def test_an_upgrade_of_a_yearly_plan_is_invoiced_at_once(team):
    upgrade(team, yearly(998))
    opening, change = invoices_of(team)
    # 334 of 365 days: $456.62 of $499.00 are credited, $913.24 of $998.00 are charged.
    assert (change.kind, amounts(change)) == (InvoiceKind.CHANGE, [D("-456.62"), D("913.24")])
    assert (change.period_start, change.period_end) == (FEBRUARY, NEXT_JANUARY)
    assert opening.total + change.total == D("499.00") + D("456.62")
    bill(utc(2026, 12, 31))
    assert len(invoices_of(team)) == 2
    (renewal,) = bill(NEXT_JANUARY)
    assert amounts(renewal) == [D("998.00")]


def test_an_upgrade_goes_with_the_next_invoice_if_asked(team):
    upgrade(team, yearly(998), invoicing=ChangeInvoicing.NEXT_INVOICE)
    assert kinds(team) == [InvoiceKind.OPENING]
    (renewal,) = bill(NEXT_JANUARY)
    assert renewal.total == D("456.62") + D("998.00")


def test_a_credit_is_left_to_the_next_invoice(team):
    upgrade(team, yearly(100))
    assert kinds(team) == [InvoiceKind.OPENING]
    assert upcoming(team.pk, now=FEBRUARY).total == D("-456.62") + D("91.51") + D("100.00")
    (renewal,) = bill(NEXT_JANUARY)
    assert renewal.total == D("-456.62") + D("91.51") + D("100.00")


def test_a_credit_is_offset_by_a_later_upgrade_of_the_same_period(team):
    # Downgraded and upgraded again on the same day: as if nothing had happened, so nothing is left to pay.
    first = team.phases.get().plan_version
    upgrade(team, yearly(100))
    upgrade(team, first, now=utc(2026, 2, 1, 1))
    assert kinds(team) == [InvoiceKind.OPENING]
    (renewal,) = bill(NEXT_JANUARY)
    assert amounts(renewal) == [D("499.00")]


def test_a_draft_of_a_change_never_becomes_negative_by_a_later_downgrade(team):
    # Upgraded on 1 February, downgraded on the 10th while the invoice of the upgrade is a draft.
    finalize(invoices_of(team)[0], now=JANUARY)
    upgrade(team, yearly(998))
    draft = invoices_of(team)[-1]
    assert draft.total == D("456.62")
    upgrade(team, yearly(100), at=utc(2026, 2, 10))
    assert recompute(draft, now=utc(2026, 2, 11)).total == D("0.00")
    assert not draft.lines.exists()
    # 9 days of $998.00 and 325 days of $100.00 instead of 334 days of $499.00, then the next year.
    credit = D("-456.62") + D("24.61") + D("89.04")
    assert upcoming(team.pk, now=utc(2026, 2, 11)).total == credit + D("100.00")
    Invoice.objects.filter(pk=draft.pk).update(finalize_at=utc(2026, 2, 12))
    assert finalize_due(now=utc(2026, 2, 12)) == 0
    assert kinds(team) == [InvoiceKind.OPENING]
    (renewal,) = bill(NEXT_JANUARY)
    assert renewal.total == D("-242.97")


def test_a_draft_of_a_change_that_still_leaves_something_to_pay_follows_the_downgrade(team):
    finalize(invoices_of(team)[0], now=JANUARY)
    upgrade(team, yearly(998))
    draft = invoices_of(team)[-1]
    upgrade(team, yearly(600), at=utc(2026, 2, 10))
    # 9 days of $998.00 and 325 days of $600.00 instead of 334 days of $499.00.
    assert recompute(draft, now=utc(2026, 2, 11)).total == D("-456.62") + D("24.61") + D("534.25")
    (renewal,) = bill(NEXT_JANUARY)
    assert renewal.total == D("600.00")


def test_an_extra_line_keeps_the_draft_of_a_change_without_its_charges(team):
    finalize(invoices_of(team)[0], now=JANUARY)
    upgrade(team, yearly(998))
    draft = invoices_of(team)[-1]
    set_extra_lines(draft, [Item("Migration", unit_amount=D(50))], now=FEBRUARY, by=None)
    upgrade(team, yearly(100), at=utc(2026, 2, 10))
    assert recompute(draft, now=utc(2026, 2, 11)).total == D("50.00")
    Invoice.objects.filter(pk=draft.pk).update(finalize_at=utc(2026, 2, 12))
    assert finalize_due(now=utc(2026, 2, 12)) == 1
    (renewal,) = bill(NEXT_JANUARY)
    assert renewal.total == D("-242.97")


def test_two_upgrades_of_one_period_are_two_invoices(team):
    upgrade(team, yearly(998))
    upgrade(team, yearly(1497), at=utc(2026, 3, 1))
    _, first, second = invoices_of(team)
    # 306 of 365 days from March on: $836.68 of $998.00 are credited, $1,255.02 of $1,497.00 are charged.
    assert (first.total, second.total) == (D("456.62"), D("418.34"))


def test_fees_in_arrears_and_a_subscription_without_proration_are_not_invoiced_at_once():
    arrears = make_subscription(plan=monthly(30, "arrears"), starts_at=JANUARY, now=JANUARY)
    full = make_subscription(plan=monthly(30), starts_at=JANUARY, now=JANUARY, prorate=False)
    bill(JANUARY)
    for subscription, cadence in ((arrears, "arrears"), (full, "advance")):
        upgrade(subscription, monthly(60, cadence), at=utc(2026, 1, 11))
        assert InvoiceKind.CHANGE not in kinds(subscription)


def test_a_change_at_the_periods_end_is_on_the_next_invoice(team):
    upgrade(team, yearly(998), at=get_period_end(team, FEBRUARY), now=FEBRUARY)
    (renewal,) = bill(NEXT_JANUARY)
    assert (renewal.kind, amounts(renewal)) == (InvoiceKind.CYCLE, [D("998.00")])
    assert BillingState.objects.get(pk=team.pk).change_at is None


def test_a_scheduled_change_is_invoiced_by_the_run_that_is_due_then(team):
    upgrade(team, yearly(998), at=FEBRUARY, now=utc(2026, 1, 15))
    assert kinds(team) == [InvoiceKind.OPENING]
    shown = upcoming(team.pk, now=utc(2026, 1, 20))
    assert [invoice.total for invoice in shown.earlier] == [D("456.62")]
    assert shown.total == D("998.00")
    assert bill(utc(2026, 1, 31)) == []
    count, _ = expected_now(now=FEBRUARY, at_most=10)
    assert count == 1
    (change,) = bill(FEBRUARY)
    assert (change.kind, change.total) == (InvoiceKind.CHANGE, D("456.62"))
    assert bill(utc(2026, 2, 2)) == []


def test_a_withdrawn_change_is_not_invoiced(team):
    upgrade(team, yearly(998), at=FEBRUARY, now=utc(2026, 1, 15))
    withdraw_scheduled_change(team, now=utc(2026, 1, 20), by=None)
    assert bill(FEBRUARY) == []
    assert BillingState.objects.get(pk=team.pk).due_at == NEXT_JANUARY


def test_a_change_recorded_later_is_invoiced_when_it_is_recorded(team):
    upgrade(team, yearly(998), at=FEBRUARY, now=utc(2026, 2, 10))
    change = invoices_of(team)[-1]
    assert (change.total, change.period_start) == (D("456.62"), utc(2026, 2, 10))


def test_a_change_before_the_first_invoice_is_on_the_opening_invoice():
    subscription = make_subscription(plan=monthly(30), starts_at=JANUARY, now=JANUARY)
    upgrade(subscription, monthly(60), at=utc(2026, 1, 1, 0, 20))
    (opening,) = invoices_of(subscription)
    assert (opening.kind, amounts(opening)) == (InvoiceKind.OPENING, [D("60.00")])


def test_a_change_before_a_due_invoice_of_the_last_period_is_on_that_invoice():
    subscription = make_subscription(plan=monthly(30), starts_at=JANUARY, now=JANUARY)
    bill(JANUARY)
    upgrade(subscription, monthly(60), at=utc(2026, 2, 1, 0, 10))
    assert kinds(subscription) == [InvoiceKind.OPENING]
    (cycle,) = bill(utc(2026, 2, 1, 1))
    assert (cycle.kind, amounts(cycle)) == (InvoiceKind.CYCLE, [D("60.00")])


def test_a_change_in_a_trial_is_on_the_invoice_at_the_trials_end():
    subscription = make_subscription(plan=monthly(30), starts_at=JANUARY, now=JANUARY, trial_days=10)
    bill(JANUARY)
    upgrade(subscription, monthly(60), at=utc(2026, 1, 5))
    assert bill(utc(2026, 1, 10)) == []
    (opening,) = bill(utc(2026, 1, 11))
    assert opening.total == D("60.00")


def test_a_change_and_a_later_cancellation_charge_what_was_used(team):
    upgrade(team, yearly(998))
    cancel(team, at=utc(2026, 3, 1), now=utc(2026, 3, 1), by=None, reason="Leaves")
    bill(utc(2026, 3, 1))
    # 31 days of $499.00 and 28 days of $998.00.
    assert sum(invoice.total for invoice in invoices_of(team)) == D("42.38") + D("76.56")


def test_a_change_of_a_paused_subscription_charges_only_active_days():
    subscription = make_subscription(plan=monthly(31), starts_at=JANUARY, now=JANUARY)
    bill(JANUARY)
    pause(subscription, at=utc(2026, 1, 11), until=utc(2026, 1, 21), now=utc(2026, 1, 11), by=None)
    upgrade(subscription, monthly(310), at=utc(2026, 1, 12))
    # 10 days at $1.00; from the 21st 11 days at $10.00; $31.00 were invoiced.
    assert invoices_of(subscription)[-1].total == D("10.00") + D("110.00") - D("31.00")


@pytest.mark.parametrize("alignment", [Alignment.CALENDAR, Alignment.ANNIVERSARY])
@pytest.mark.parametrize("invoicing", list(ChangeInvoicing))
def test_the_preview_is_what_is_then_invoiced(alignment, invoicing):
    start = utc(2026, 1, 10)
    subscription = make_subscription(plan=monthly(31), starts_at=start, now=start, alignment=alignment)
    bill(start)
    plan, at = monthly(62).plan, utc(2026, 1, 20)
    shown = preview_plan_change(subscription, plan, at=at, now=at, reason="Agreed", invoicing=invoicing)
    assert kinds(subscription) == [InvoiceKind.OPENING]
    upgrade(subscription, plan, at=at, invoicing=invoicing)
    made = [invoice.total for invoice in invoices_of(subscription)[1:]]
    assert (list(shown.at_once), bool(made)) == (made, invoicing == ChangeInvoicing.IMMEDIATE)
    assert shown.later == upcoming(subscription.pk, now=at).total


def test_a_draft_of_the_start_and_a_change_do_not_charge_each_others_fees(team):
    upgrade(team, yearly(998))
    opening, change = invoices_of(team)
    for draft in (opening, change, opening):
        recompute(draft, now=utc(2026, 2, 2))
    assert [invoice.total for invoice in invoices_of(team)] == [D("499.00"), D("456.62")]


def test_a_voided_change_invoice_is_reissued_with_the_same_amount(team):
    upgrade(team, yearly(998))
    change = finalize(invoices_of(team)[-1], now=FEBRUARY)
    assert reissue(change, reason="Address", by=None, now=utc(2026, 2, 3)).total == D("456.62")


def test_a_repeated_change_is_invoiced_once(team):
    plan = yearly(998)
    for _ in range(2):
        upgrade(team, plan)
        invoice_change(team, at=FEBRUARY, now=FEBRUARY)
        bill(FEBRUARY)
    assert kinds(team) == [InvoiceKind.OPENING, InvoiceKind.CHANGE]


def test_the_database_allows_one_invoice_of_a_change(team):
    upgrade(team, yearly(998))
    change = invoices_of(team)[-1]
    copy = Invoice.objects.get(pk=change.pk)
    copy.pk, copy.public_id, copy._state.adding = None, "inv_copy", True
    with pytest.raises(IntegrityError, match="invoice_once_per_period"), transaction.atomic():
        copy.save()


def test_a_subscription_that_cannot_be_billed_is_changed_and_parked(team, monkeypatch):
    monkeypatch.setattr("billing.runs.at_once.load_subscriptions", lambda ids: 1 / 0)
    upgrade(team, yearly(998))
    assert team.phases.filter(superseded_at=None).count() == 2
    assert "ZeroDivisionError" in BillingState.objects.get(pk=team.pk).parked_reason
    monkeypatch.undo()
    (change,) = bill(utc(2026, 2, 1, 2))
    assert change.total == D("456.62")


# --- New subscriptions --------------------------------------------------------------------------------


def body(plan, **values):
    return {
        "external_customer_id": "acme",
        "plan_id": plan.plan.public_id,
        "currency": "USD",
        "billing_period": "MONTHLY",
    } | values


def listed(api):
    return [(item["billing_reason"], item["total"]) for item in api.get("invoices")["items"]]


def test_a_subscription_created_through_the_api_is_invoiced_at_once(api):
    make_customer(external_id="acme")
    made = api.post("subscriptions", body(monthly(30)), status=201)
    assert listed(api) == [("SUBSCRIPTION_CREATE", "30.00")]
    assert bill(timezone.now()) == []
    assert Subscription.objects.get(public_id=made["id"]).invoices.count() == 1


def test_coupons_of_the_request_reduce_the_invoice_at_the_start(api):
    make_customer(external_id="acme")
    api.post(
        "coupons",
        {"name": "ten", "coupon_code": "TEN", "cadence": "forever", "type": "percentage", "percentage_off": "10"},
        status=201,
    )
    api.post("subscriptions", body(monthly(30), coupons=["TEN"]), status=201)
    assert listed(api) == [("SUBSCRIPTION_CREATE", "27.00")]


@pytest.mark.parametrize(
    "values",
    [{"trial_period_days": 14}, {"start_date": "2031-01-01T00:00:00Z"}],
)
def test_a_trial_or_a_later_start_is_invoiced_when_it_is_due(api, values):
    make_customer(external_id="acme")
    api.post("subscriptions", body(monthly(30), **values), status=201)
    assert listed(api) == []


def test_arrears_and_past_periods_are_left_to_the_billing_run(api):
    make_customer(external_id="acme")
    api.post("subscriptions", body(monthly(30), start_date="2026-01-01T00:00:00Z"), status=201)
    assert listed(api) == [("SUBSCRIPTION_CREATE", "30.00")]


def test_a_subscription_whose_process_died_is_invoiced_by_the_billing_run(monkeypatch, api):
    make_customer(external_id="acme")
    monkeypatch.setattr("customers.api.subscriptions.invoice_start", lambda subscription, now: None)
    made = api.post("subscriptions", body(monthly(30)), status=201)
    assert listed(api) == []
    (opening,) = bill(timezone.now())
    assert (opening.kind, opening.total) == (InvoiceKind.OPENING, D("30.00"))
    invoice_start(Subscription.objects.get(public_id=made["id"]), now=timezone.now())
    assert listed(api) == [("SUBSCRIPTION_CREATE", "30.00")]


def test_a_subscription_created_in_the_admin_is_invoiced_at_once(staff_client):
    answers = {
        "customer": make_customer().pk,
        "plan": monthly(30).plan.pk,
        "interval": "month",
        "interval_count": "1",
        "alignment": "anniversary",
        "prorate": "on",
        "starts_on": timezone.now().date().isoformat(),
    }
    staff_client.post(url("customers_subscription_add"), answers)
    (opening,) = invoices_of(Subscription.objects.get())
    assert (opening.kind, opening.total) == (InvoiceKind.OPENING, D("30.00"))


@pytest.mark.django_db(transaction=True)
def test_a_run_and_a_request_make_one_opening_invoice():
    subscription = make_subscription(plan=monthly(30), starts_at=JANUARY, now=JANUARY)

    def invoice():
        invoice_start(subscription, now=JANUARY)
        connection.close()

    threads = [threading.Thread(target=invoice) for _ in range(3)]
    for thread in threads:
        thread.start()
    bill(JANUARY)
    for thread in threads:
        thread.join()
    assert kinds(subscription) == [InvoiceKind.OPENING]


@pytest.mark.django_db(transaction=True)
def test_a_run_and_a_change_make_one_invoice_of_the_change(team):
    plan = yearly(998)

    def change():
        upgrade(team, plan)
        connection.close()

    threads = [threading.Thread(target=change) for _ in range(3)]
    for thread in threads:
        thread.start()
    bill(FEBRUARY)
    for thread in threads:
        thread.join()
    bill(utc(2026, 2, 2))
    assert kinds(team) == [InvoiceKind.OPENING, InvoiceKind.CHANGE]


# --- API and admin ------------------------------------------------------------------------------------


@pytest.fixture
def changing(monkeypatch, team):
    forms = "customers.admin.subscriptions.change_forms"
    for module in ("billing.api.plan_changes", forms, "customers.admin.subscriptions.actions"):
        monkeypatch.setattr(f"{module}.timezone.now", lambda: FEBRUARY)
    return team


def test_the_api_previews_and_invoices_an_upgrade_at_once(api, changing):
    asked = {"target_plan_id": yearly(998).plan.public_id}
    path = f"subscriptions/{changing.public_id}/change"
    shown = api.post(f"{path}/preview", asked)
    assert shown["immediate_invoice"] == {"total": "456.62", "currency": "USD"}
    assert shown["upcoming_invoice"] == {"total": "998.00", "difference": "955.62", "currency": "USD"}
    later = api.post(f"{path}/preview", asked | {"invoicing": "next_invoice"})
    assert later["immediate_invoice"] is None
    assert later["upcoming_invoice"] == {"total": "1454.62", "difference": "955.62", "currency": "USD"}
    done = api.post(f"{path}/execute", asked)
    assert (done["invoice"]["total"], done["invoice"]["billing_reason"]) == ("456.62", "SUBSCRIPTION_UPDATE")
    assert "invoicing" in api.post(f"{path}/execute", asked | {"invoicing": "never"}, 400)["details"]


def test_the_api_schedules_a_change_and_names_its_schedule(api, changing):
    asked = {"target_plan_id": yearly(998).plan.public_id, "change_at": "end_of_period"}
    done = api.post(f"subscriptions/{changing.public_id}/change/execute", asked)
    assert (done["is_scheduled"], done["scheduled_at"], done["invoice"]) == (True, "2027-01-01T00:00:00Z", None)
    api.post(f"subscriptions/schedules/{done['schedule_id']}/cancel")
    assert api.get(f"subscriptions/{changing.public_id}/schedules")["count"] == 0


def test_the_admin_previews_and_invoices_an_upgrade_at_once(staff_client, changing):
    plan = yearly(998).plan
    effect = url("billing_change_effect", "plan", changing.pk)
    answers = {"plan": plan.pk, "when": "now"}
    shown = text_of(staff_client.post(effect, answers))
    assert "Invoiced at once: $456.62" in shown
    assert "total $1,454.62 instead of $499.00" in shown
    assert "Invoiced at once" not in text_of(staff_client.post(effect, answers | {"invoicing": "next_invoice"}))
    submit(staff_client, url("customers_subscription_change_plan", changing.pk), **answers, reason="Upgrade")
    assert invoices_of(changing)[-1].total == D("456.62")
