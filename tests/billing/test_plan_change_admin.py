"""A change of plan in the admin says what it costs before it is made."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from catalog.publishing import publish
from customers.models import Subscription
from tests.admin_pages import as_viewer, url
from tests.factories import NOW, make_draft, make_fee, make_plan, make_subscription

pytestmark = pytest.mark.django_db


@pytest.fixture
def subscription() -> Subscription:
    """Subscribe somebody three days ago at $10 a month in advance."""
    start = timezone.now() - timedelta(days=3)
    return make_subscription(starts_at=start, now=start)


@pytest.fixture
def dearer():
    draft = make_draft(make_plan(published=False, name="Dearer"))
    make_fee(version=draft, unit_amount=Decimal(30))
    return publish(draft, now=NOW, by=None).plan


def effect(client, subscription, **answers):
    return client.post(url("billing_plan_change_effect", subscription.pk), answers).content.decode()


def test_the_dialog_says_what_a_dearer_plan_costs(staff_client, subscription, dearer):
    asked = url("customers_subscription_change_plan", subscription.pk)
    assert url("billing_plan_change_effect", subscription.pk) in staff_client.get(asked).content.decode()
    said = effect(staff_client, subscription, plan=dearer.pk, when="period_end")
    # The fee of the period that runs, $10, and the next one's: $30 instead of $10.
    assert "$40.00</strong> instead of $20.00" in said
    assert "$20.00</strong> more" in said
    assert subscription.phases.count() == 1


def test_moving_to_the_same_plan_costs_nothing(staff_client, subscription):
    same = subscription.phases.get().plan_version.plan
    assert "stays at <strong" in effect(staff_client, subscription, plan=same.pk, when="now")


def test_without_a_plan_or_a_day_nothing_is_worked_out(staff_client, subscription, dearer):
    assert "Choose a plan" in effect(staff_client, subscription, when="now")
    assert "Choose a plan" in effect(staff_client, subscription, plan=dearer.pk, when="date")


def test_a_day_that_cannot_be_says_why(staff_client, subscription, dearer):
    said = effect(staff_client, subscription, plan=dearer.pk, when="date", day="2020-01-01")
    assert "ch-error" in said
    assert subscription.phases.count() == 1


def test_only_staff_who_may_change_subscriptions_are_told(subscription, dearer):
    address = url("billing_plan_change_effect", subscription.pk)
    assert as_viewer("customers").post(address, {"plan": dearer.pk, "when": "now"}).status_code == 403


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_choosing_a_plan_shows_its_price_in_the_browser(admin_browser, subscription, dearer):
    page = admin_browser.open(url("customers_subscription_change", subscription.pk))
    page.get_by_role("link", name="Change plan").click()
    dialog = page.locator("#dialog")
    dialog.get_by_text("Choose a plan").wait_for()
    dialog.get_by_label("Plan").select_option(str(dearer.pk))
    dialog.get_by_label("When the current period ends").check()
    dialog.get_by_text("$20.00 more").wait_for()
    dialog.get_by_label("Reason").fill("Outgrew it")
    dialog.get_by_role("button", name="Change plan").click()
    page.get_by_text("Moved to Dearer.").wait_for()
    assert subscription.phases.count() > 1
