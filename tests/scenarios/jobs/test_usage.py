"""Jobs of those who look after usage: find why events don't count, fix it, and trace a charge to its events."""

from decimal import Decimal

import pytest
from playwright.sync_api import expect

from billing.models import LateAdjustment, LateState
from catalog.models import Plan
from events.models import Problem, ProblemState
from tests.billing.late import invoice_at, work_late
from tests.billing.world import utc
from tests.factories import make_subscription
from tests.scenarios.guide import Guide, make_guide

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def guide(staff_client) -> Guide:
    return make_guide(staff_client)


def test_missing_usage_is_found_fixed_and_proved(admin_browser, guide):
    for number in range(3):
        guide.accepted(event_name="Model.Usage", event_id=f"lost-{number}")
    with admin_browser.job(clicks=4) as page:
        admin_browser.find("missing usage", "Fix problems")
        expect(page.locator(".ch-causes")).to_contain_text("model.usage")  # the near miss
        page.get_by_role("link", name="Map it to model.usage").click()
        page.get_by_text("nothing → $3.00").wait_for()  # 3 events of 2 credits at $0.50
        page.get_by_label("Reason").fill("The old client")
        page.get_by_role("button", name="Apply and replay 3 events").click()
        expect(page.locator("#proof")).to_contain_text("3 problems closed, 0 still open")
    assert guide.due() == Decimal(3)


def test_a_field_with_another_name_is_read_by_its_other_name(admin_browser, guide):
    guide.accepted(properties={"credit": 2}, event_id="singular")
    with admin_browser.job(clicks=5) as page:
        admin_browser.find("singular", "singular")
        page.get_by_role("link", name="Open in debugger").click()
        page.get_by_role("link", name="Read “credit”").click()
        page.get_by_text("nothing → $1.00").wait_for()
        page.get_by_label("Reason").fill("The gateway's name")
        page.get_by_role("button", name="Apply and replay 1 event").click()
        expect(page.locator("#proof")).to_contain_text("1 problem closed, 0 still open")
    assert not Problem.objects.filter(state=ProblemState.OPEN).exists()
    assert guide.due() == Decimal(1)


@pytest.fixture
def september(staff_client) -> Guide:
    """Invoice September for one event of 4 credits, $2.00."""
    guide = make_guide(staff_client, is_subscribed=False)
    start = utc(2026, 9, 1)
    plan = Plan.objects.get()
    guide.subscription = make_subscription(customer=guide.customer, plan=plan, starts_at=start, now=start)
    guide.accepted(event_id="in-time", timestamp="2026-09-03T08:00:00Z", properties={"credits": 4})
    invoice_at(utc(2026, 10, 1))
    return guide


def test_a_line_is_explained_by_its_events_and_recounted(admin_browser, september):
    with admin_browser.job(clicks=4) as page:
        admin_browser.find("000001", "INV-000001")
        page.get_by_text("Show calculation").first.click()
        page.get_by_text("4 × $0.50 = $2.00").first.wait_for()
        page.get_by_role("button", name="Recount events").click()
        page.get_by_text("Recounted: everything matches").wait_for()
        page.get_by_role("link", name="Show events").click()
        page.get_by_role("link", name="in-time").wait_for()


def test_late_usage_is_waived_with_a_reason(admin_browser, september):
    september.accepted(event_id="late", timestamp="2026-09-20T08:00:00Z", properties={"credits": 10})
    work_late(utc(2026, 10, 6))
    with admin_browser.job(clicks=4) as page:
        admin_browser.find("waive late usage", "Decide on late usage")
        page.get_by_role("link", name="Acme").click()
        page.get_by_role("link", name="Waive").click()
        page.get_by_label("Reason").fill("Our outage")
        page.get_by_role("button", name="Waive").click()
        page.get_by_text("1 adjustment, $5.00: waived.").wait_for()
    adjustment = LateAdjustment.objects.get()
    assert (adjustment.state, adjustment.reason) == (LateState.IGNORED, "Our outage")
