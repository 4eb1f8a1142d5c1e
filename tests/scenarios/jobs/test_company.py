"""Jobs of owners and operations: changing prices and plans, inviting colleagues, rotating keys, exporting lists."""

import re
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from catalog.models import PlanVersion
from catalog.models.plans import VersionState
from events.access.keys import make_key
from events.models import ApiKey
from tests.billing.invoices import make_finalized
from tests.factories import make_customer, make_feature, make_subscription, make_version
from tests.scenarios.guide import make_guide

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def test_a_price_changes_with_a_new_version(admin_browser):
    version = make_version({"feature": make_feature(name="API calls"), "unit_amount": Decimal("0.01")}, name="Growth")
    with admin_browser.job(clicks=5) as page:
        admin_browser.find("growth", "Growth", detail="Plan")
        page.get_by_role("link", name=re.compile("New version$")).click()
        page.get_by_role("link", name=re.compile("API calls")).first.click()
        page.get_by_label("Unit amount", exact=True).fill("0.02")
        page.get_by_role("button", name="Save and publish…").click()
        page.get_by_text("$0.01").first.wait_for()
        page.locator("#dialog").get_by_label("What changed and why").fill("From January on")
        page.get_by_role("button", name="Publish").click()
        page.get_by_text("was published").wait_for()
    assert PlanVersion.objects.get(number=2).state == VersionState.PUBLISHED
    assert version.prices.get().unit_amount == Decimal("0.01")


def test_a_subscription_changes_its_plan(admin_browser):
    make_subscription(customer=make_customer(name="Ada Labs"))
    make_version({"feature": make_feature(), "unit_amount": Decimal(1)}, name="Premium")
    with admin_browser.job(clicks=5) as page:
        admin_browser.find("upgrade", "Change subscription")
        page.get_by_role("link", name="Ada Labs").first.click()
        page.get_by_role("link", name=re.compile("Change plan$")).click()
        dialog = page.locator("#dialog")
        dialog.get_by_label("Plan").select_option(label="Premium")
        dialog.get_by_text("instead of").first.wait_for()
        dialog.get_by_label("Reason").fill("Outgrew it")
        dialog.get_by_role("button", name="Change plan").click()
        page.get_by_text("Plan changed to Premium.").wait_for()


def test_a_customer_s_page_says_what_is_neither_counted_nor_billed(admin_browser, staff_client):
    guide = make_guide(staff_client)
    guide.accepted(properties={"tokens": 2})
    with admin_browser.job(clicks=1) as page:
        admin_browser.find("acme", "Acme", detail="Customer")
        page.get_by_role("heading", name="Not counted or billed").wait_for()
        expect(page.get_by_role("row", name="Aggregation field missing").first).to_contain_text("1")


def test_a_colleague_is_invited_with_a_role_and_signs_in(admin_browser):
    with admin_browser.job(clicks=4) as page:
        admin_browser.find("invite", "Add colleague")
        page.get_by_label("First name").fill("Grace")
        page.get_by_label("Email").fill("grace@example.com")
        page.get_by_label("Role").select_option(label="Finance")
        page.get_by_role("button", name="Save").click()
        link = page.locator("#secret").input_value()
        page.get_by_role("button", name="Copy").click()
    page.context.clear_cookies()
    page.goto(link)
    page.get_by_label("New password").first.fill("correct-horse-battery")
    page.get_by_label("New password confirmation").fill("correct-horse-battery")
    page.get_by_role("button", name="Set password and sign in").click()
    expect(page.locator("body")).to_contain_text("Grace")


def test_a_key_is_rotated(admin_browser):
    make_key("Gateway")
    with admin_browser.job(clicks=4) as page:
        admin_browser.find("rotate key", "Rotate API key")
        page.get_by_role("link", name="Gateway").click()
        page.get_by_role("link", name=re.compile("Rotate$")).click()
        page.get_by_role("button", name="Rotate key").click()
        expect(page.locator("#secret")).to_have_value(re.compile("^sk_"))
    assert ApiKey.objects.count() == 2


def test_a_list_is_exported_to_excel(admin_browser):
    make_finalized("100")
    with admin_browser.job(clicks=2) as page:
        admin_browser.find("excel", "Export invoices")
        with page.expect_download() as download:
            page.get_by_role("link", name="Excel").click()
    assert re.fullmatch(r"invoices-.*\.xlsx", download.value.suggested_filename)
