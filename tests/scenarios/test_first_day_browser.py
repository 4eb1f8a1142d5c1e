"""An empty company reaches its first counted event with an upcoming amount, within a budget of clicks and time."""

import shlex
import subprocess
import time

import pytest
from playwright.sync_api import Page

from catalog.models import Feature
from events.ledger.processing import process_batch
from events.models import Event, EventState

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
MOST_SECONDS = 45


def fill(page: Page, **fields: str) -> None:
    """Fill fields by name: `features__0__name` is features-0-name. They are reached with the Tab key."""
    for name, value in fields.items():
        page.locator(f"[name='{name.replace('__', '-')}']").first.fill(value)


def choose(page: Page, name: str, value: str) -> None:
    page.locator(f"[name='{name}']").select_option(value)


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_load_state()


def test_an_empty_company_counts_and_prices_its_first_event(admin_browser):
    started = time.monotonic()
    with admin_browser.job(clicks=20) as page:
        page.get_by_role("link", name="Set up a plan").click()
        fill(page, name="Pro", fee="49", features__0__name="Tokens", features__0__event_name="model.usage")
        choose(page, "features-0-aggregation", "sum")
        fill(page, features__0__field="tokens", features__0__free_units="100", features__0__unit_amount="0.02")
        fill(page, features__0__tried="1100")
        page.get_by_text("$69.00").wait_for()  # 49.00 and 1,000 × 0.02
        page.get_by_role("button", name="Publish").click()
        page.get_by_role("link", name="Create a customer and a subscription").click()
        fill(page, name="Acme", external_id="acme")
        save(page)
        page.get_by_role("link", name="Home").first.click()
        page.get_by_role("link", name="Create a customer and a subscription").click()
        save(page)
        page.get_by_role("link", name="Home").first.click()
        page.get_by_role("link", name="Create an API key").click()
        fill(page, name="Gateway")
        save(page)
        command = page.locator("pre", has_text="curl").inner_text()
        page.get_by_role("button", name="Copy").last.click()
        assert '"event_name": "model.usage"' in command
        assert '"external_customer_id": "acme"' in command
        assert '"tokens": 150' in command
        answer = subprocess.run(shlex.split(command.replace("\\\n", " ")), capture_output=True, text=True, check=True)
        assert '"event_id"' in answer.stdout
        process_batch()
        assert Event.objects.get().state == EventState.COUNTED
        page.get_by_role("link", name="Upcoming").click()
        page.get_by_text("$50.00").first.wait_for()  # 50 × 0.02, and the next month's fee
    assert time.monotonic() - started <= MOST_SECONDS
    assert not Feature.objects.get().accept_numeric_strings


def test_a_plan_with_tiers_is_set_up_side_by_side(admin_browser):
    with admin_browser.job(clicks=3, start="/admin/catalog/plan/setup/") as page:
        fill(page, name="Scale", features__0__name="Calls", features__0__event_name="api.calls")
        choose(page, "features-0-model", "graduated")
        fill(page, features__0__up_to_1="1000", features__0__tier_amount_1="0.01", features__0__tier_amount_2="0.005")
        fill(page, features__0__free_units="500", features__0__tried="2500")
        page.get_by_text("$15.00").first.wait_for()  # 500 are free; 1,000 × 0.01 + 1,000 × 0.005
        page.get_by_role("button", name="Add a feature").click()
        fill(page, features__1__name="Seats", features__1__event_name="seat.used", features__1__unit_amount="7")
        fill(page, features__1__tried="2")
        page.get_by_text("$29.00").first.wait_for()
        page.get_by_role("button", name="Save as draft").click()
        page.get_by_text("Scale v1").first.wait_for()
    assert Feature.objects.count() == 2
