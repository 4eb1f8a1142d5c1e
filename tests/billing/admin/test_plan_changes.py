"""Subscription changes in the admin show their effect on the next invoice before they are made."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from catalog.publishing import publish
from customers.models import Subscription
from customers.subscriptions import cancel_at_period_end, pause
from tests.admin_pages import as_viewer, text_of, url
from tests.billing.adjusting import give, make_coupon, make_credit, make_tax
from tests.billing.world import bill, use, utc
from tests.factories import NOW, make_draft, make_feature, make_fee, make_plan, make_subscription, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, ELEVENTH = utc(2026, 9, 1), utc(2026, 9, 11)


@pytest.fixture
def subscription() -> Subscription:
    """Create a subscription at $10 a month in advance that started three days ago."""
    start = timezone.now() - timedelta(days=3)
    return make_subscription(starts_at=start, now=start)


@pytest.fixture
def september(monkeypatch) -> Subscription:
    """Create a subscription at $30 a month, invoice September, and set the time to the 11th."""
    fee = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": Decimal(30)}
    subscription = make_subscription(plan=make_version(fee), starts_at=SEPTEMBER, now=SEPTEMBER)
    bill(SEPTEMBER)
    monkeypatch.setattr("customers.admin.subscriptions.change_forms.timezone.now", lambda: ELEVENTH)
    return subscription


@pytest.fixture
def premium():
    draft = make_draft(make_plan(published=False, name="Premium"))
    make_fee(version=draft, unit_amount=Decimal(30))
    return publish(draft, now=NOW, by=None).plan


def preview(client, subscription, change="plan", **answers):
    return client.post(url("billing_change_effect", change, subscription.pk), answers)


def effect(client, subscription, change="plan", **answers):
    return text_of(preview(client, subscription, change, **answers))


def test_more_expensive_plan_shows_the_higher_total(staff_client, subscription, premium):
    asked = url("customers_subscription_change_plan", subscription.pk)
    assert url("billing_change_effect", "plan", subscription.pk) in staff_client.get(asked).content.decode()
    said = effect(staff_client, subscription, plan=premium.pk, when="period_end")
    # The fee of the period that runs, $10, and the next one's: $30 instead of $10.
    assert "$40.00 instead of $20.00" in said
    assert "$20.00 more" in said
    assert subscription.phases.count() == 1


@pytest.fixture
def larger():
    """A plan at $60 a month with 500 free calls, then $0.10 each."""

    def make(calls):
        fee = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": Decimal(60)}
        return make_version(fee, {"feature": calls, "unit_amount": Decimal("0.1")}, free_units={calls: 500}).plan

    return make


@pytest.fixture
def october(monkeypatch):
    """A subscription at $30 a month and $0.20 a call with 700 calls in September and 40 in October; 11 October."""
    calls = make_feature(event_name="api.calls", name="API calls")
    fee = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": Decimal(30)}
    version = make_version(fee, {"feature": calls, "unit_amount": Decimal("0.2")})
    subscription = make_subscription(plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)
    use(subscription.customer, calls, utc(2026, 9, 20), 700)
    use(subscription.customer, calls, utc(2026, 10, 5), 40)
    bill(SEPTEMBER)
    bill(utc(2026, 10, 1))
    monkeypatch.setattr("customers.admin.subscriptions.change_forms.timezone.now", lambda: utc(2026, 10, 11))
    return subscription, calls


def test_a_whole_month_with_last_months_usage_is_compared(staff_client, october, larger):
    subscription, calls = october
    make_tax(20)
    give(make_coupon(10), subscription)
    make_credit(subscription.customer, 500)
    said = effect(staff_client, subscription, plan=larger(calls).pk, when="now")
    # Today: $30.00 + 700 × $0.20 = $170.00, less 10 %, with 20 % tax. Then: $60.00 + 200 × $0.10 = $80.00.
    assert "A whole month with last month's usage (1–30 Sep 2026): $183.60 → $86.40" in said
    assert subscription.phases.count() == 1
    same = subscription.phases.get().plan_version.plan
    assert "$183.60 → $183.60" in effect(staff_client, subscription, plan=same.pk, when="period_end")


def test_a_discount_of_one_invoice_is_not_part_of_a_whole_month(staff_client, october, larger):
    subscription, calls = october
    give(make_coupon(10, duration="once"), subscription)
    assert "$170.00 → $80.00" in effect(staff_client, subscription, plan=larger(calls).pk, when="now")


def test_a_whole_month_is_compared_only_if_one_is_over(staff_client, subscription, premium):
    assert "whole month" not in effect(staff_client, subscription, plan=premium.pk, when="now")


def test_cancelling_compares_no_whole_month(staff_client, october):
    assert "whole month" not in effect(staff_client, october[0], "cancel", when="now")


def test_the_api_compares_the_same_period(api, october, larger, monkeypatch):
    subscription, calls = october
    monkeypatch.setattr("billing.api.plan_changes.timezone.now", lambda: utc(2026, 10, 11))
    asked = {"target_plan_id": larger(calls).public_id, "proration_behavior": "create_prorations"}
    answer = api.post(f"subscriptions/{subscription.public_id}/change/preview", asked)
    assert answer["full_period"] == {
        "start": "2026-09-01T00:00:00Z",
        "end": "2026-10-01T00:00:00Z",
        "total_before": "170.00",
        "total_after": "80.00",
        "difference": "-90.00",
        "currency": "USD",
    }


def test_same_plan_leaves_the_total_unchanged(staff_client, subscription):
    same = subscription.phases.get().plan_version.plan
    assert "upcoming charges still total $20.00" in effect(staff_client, subscription, plan=same.pk, when="now")


def test_incomplete_form_has_no_preview(staff_client, subscription, premium):
    assert "Choose a plan" in effect(staff_client, subscription, when="now")
    assert "Choose a plan" in effect(staff_client, subscription, plan=premium.pk, when="date")


def test_invalid_day_shows_the_reason(staff_client, subscription, premium):
    answer = preview(staff_client, subscription, plan=premium.pk, when="date", day="2020-01-01")
    assert "ch-error" in answer.content.decode()
    assert subscription.phases.count() == 1


def test_cancelling_shows_the_credit_for_the_unused_days(staff_client, september):
    asked = url("customers_subscription_cancel", september.pk)
    assert url("billing_change_effect", "cancel", september.pk) in staff_client.get(asked).content.decode()
    # $30 were invoiced for September. 20 of its 30 days are unused from the 11th on: $20; and no fee for October.
    said = effect(staff_client, september, "cancel", when="now")
    assert "-$20.00 instead of $30.00" in said
    assert "$50.00 less" in said
    assert "becomes prepaid credit" in said
    said = effect(staff_client, september, "cancel", when="period_end")
    assert "$0.00 instead of $30.00" in said
    said = effect(staff_client, september, "cancel", when="date", day="2026-09-16")
    assert "-$15.00 instead of $30.00" in said
    september.refresh_from_db()
    assert september.ended_at is None


def test_pausing_and_resuming_show_their_effect(staff_client, september):
    # Paused from the 11th until the 21st: ten days of September are credited, and October is charged.
    said = effect(staff_client, september, "pause", last_day="2026-09-21")
    assert "$20.00 instead of $30.00" in said
    assert "-$20.00 instead of $30.00" in effect(staff_client, september, "pause")
    pause(september, at=ELEVENTH, now=ELEVENTH, by=None)
    assert "$30.00 instead of -$20.00" in effect(staff_client, september, "resume")
    assert september.phases.filter(superseded_at=None).count() == 2


def test_withdrawing_a_cancellation_shows_the_charge(staff_client, september):
    cancel_at_period_end(september, now=ELEVENTH, by=None)
    assert "$30.00 instead of $0.00" in effect(staff_client, september, "withdraw")


def test_impossible_change_shows_the_reason(staff_client, september):
    assert "ch-error" in preview(staff_client, september, "resume").content.decode()
    assert staff_client.post(url("billing_change_effect", "sell", september.pk)).status_code == 404


def test_preview_requires_the_permission_to_change_subscriptions(subscription, premium):
    address = url("billing_change_effect", "plan", subscription.pk)
    assert as_viewer("customers").post(address, {"plan": premium.pk, "when": "now"}).status_code == 403


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_choosing_a_plan_shows_the_effect_in_the_browser(admin_browser, subscription, premium):
    page = admin_browser.open(url("customers_subscription_change", subscription.pk))
    page.get_by_role("link", name="Change plan").click()
    dialog = page.locator("#dialog")
    dialog.get_by_text("Choose a plan to preview").wait_for()
    dialog.get_by_label("Plan").select_option(str(premium.pk))
    dialog.get_by_label("When the current period ends").check()
    dialog.get_by_text("$20.00 more").wait_for()
    dialog.get_by_label("Reason").fill("Outgrew it")
    dialog.get_by_role("button", name="Change plan").click()
    page.get_by_text("Plan changed to Premium.").wait_for()
    assert subscription.phases.count() > 1


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_choosing_when_to_cancel_shows_the_credit_in_the_browser(admin_browser, september):
    page = admin_browser.open(url("customers_subscription_change", september.pk))
    page.get_by_role("link", name="Cancel").click()
    dialog = page.locator("#dialog")
    dialog.get_by_text("$0.00 instead of $30.00").wait_for()
    dialog.get_by_label("Now").check()
    dialog.get_by_text("-$20.00 instead of $30.00").wait_for()
    dialog.get_by_text("becomes prepaid credit").wait_for()
