"""The admin in Chromium: log in, find an event, fix a cause of problems, create a key, open an invoice."""

import re

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page, expect

from billing.models import Invoice
from events.access.keys import make_key
from events.models import ApiKey, Event, EventState, Problem, ProblemState, UsageBucket
from tests.browser import AdminBrowser
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def usage() -> None:
    """A customer whose events count, but for one sent under a wrong name."""
    now = timezone.now()
    make_feature(name="Tokens", event_name="model.usage", field="tokens")
    make_customer(external_id="acme", name="Acme Ltd")
    send("model.usage", event_id="evt-1", tokens=150, at=now, received_at=now)
    send("Model.Usage", event_id="evt-2", tokens=7, at=now, received_at=now)
    process()


def open_dialog(page: Page, name: str) -> None:
    page.locator("a[hx-get]").filter(has_text=name).first.click()
    expect(page.locator("#modal-content #dialog")).to_be_visible()


def test_staff_log_in_and_land_on_home(admin_browser: AdminBrowser) -> None:
    page = admin_browser.page
    page.context.clear_cookies()
    page.goto(f"{admin_browser.url}/admin/")
    page.fill("input[name=login]", "staff")
    page.fill("input[name=password]", "correct-horse-battery")
    page.click("button[type=submit]")
    expect(page.get_by_text("Get started")).to_be_visible()


@pytest.mark.hot
def test_an_event_is_found_and_its_payload_shown(usage: None, admin_browser: AdminBrowser) -> None:
    page = admin_browser.open("/admin/events/event/")
    page.fill("#searchbar", "evt-1")
    page.press("#searchbar", "Enter")
    expect(page.locator("#result_list tbody")).to_have_count(1)
    expect(page.locator("#result_list")).to_contain_text("Acme Ltd")
    page.get_by_role("link", name="Payload").click()
    expect(page.locator("#modal-content pre")).to_contain_text('"tokens": 150')
    page.get_by_role("link", name="Event details").click()
    expect(page.locator("body")).to_contain_text("Features for this event name")


def test_filters_are_applied_and_kept_in_the_address(usage: None, admin_browser: AdminBrowser) -> None:
    page = admin_browser.open("/admin/events/event/")
    page.locator(".filter-open-button").click()
    page.fill("#filter-form input[name=event_name]", "Model.Usage")
    page.get_by_role("button", name="Apply Filters").click()
    expect(page.locator("#result_list tbody")).to_have_count(1)
    assert "event_name=Model.Usage" in page.url


@pytest.mark.hot
def test_voiding_an_event_requires_a_reason_in_the_dialog(usage: None, admin_browser: AdminBrowser) -> None:
    event = Event.objects.get(event_id="evt-1")
    page = admin_browser.open(f"/admin/events/event/{event.pk}/change/")
    open_dialog(page, "Void")
    page.get_by_role("button", name="Void event").click()
    expect(page.locator("#dialog-form")).to_contain_text("This field is required")
    page.fill("#dialog [name=reason]", "Sent by a test")
    page.get_by_role("button", name="Void event").click()
    expect(page.locator("body")).to_contain_text("The event was voided")
    event.refresh_from_db()
    assert event.state == EventState.VOIDED
    assert not UsageBucket.objects.filter(count__gt=0).exists()


def test_fixing_a_cause_returns_to_problems(usage: None, admin_browser: AdminBrowser) -> None:
    page = admin_browser.open("/admin/")
    page.get_by_role("link", name=re.compile("Open problems")).click()
    expect(page.locator(".ch-causes")).to_contain_text("Model.Usage")
    page.locator("td[data-name=Problems]").get_by_role("link", name="1", exact=True).click()
    expect(page.locator("#result_list")).to_contain_text("evt-2")
    page.get_by_role("link", name="← Group by cause").click()
    expect(page.locator("td[data-name='At risk']")).to_contain_text("not in any subscription")
    page.get_by_role("link", name="Map it to model.usage").click()
    expect(page.locator("body")).to_contain_text("Count events named “Model.Usage” as “model.usage”")
    page.fill("input[name=reason]", "The old client")
    page.get_by_role("button", name="Apply and replay 1 event").click()
    expect(page.locator("#proof")).to_contain_text("1 problem closed, 0 still open")
    expect(page.locator("body")).to_contain_text("No open problem")


def test_a_cause_is_dismissed_in_a_dialog(usage: None, admin_browser: AdminBrowser) -> None:
    page = admin_browser.open("/admin/events/problem/causes/")
    open_dialog(page, "Dismiss…")
    page.fill("#dialog [name=reason]", "A load test")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator("body")).to_contain_text("No open problem")
    assert Problem.objects.get().state == ProblemState.DISMISSED


def test_a_key_is_created_shown_once_and_accepts_an_event(usage: None, admin_browser: AdminBrowser) -> None:
    page = admin_browser.open("/admin/events/apikey/add/")
    page.fill("input[name=name]", "Gateway")
    page.get_by_role("button", name="Save").click()
    secret = page.locator("#secret").input_value()
    headers = {"x-api-key": secret}
    body = {"event_name": "model.usage", "external_customer_id": "acme", "properties": {"tokens": 1}}
    assert Client().post("/v1/events", body, content_type="application/json", headers=headers).status_code == 202
    page.reload()
    expect(page.locator("#result_list")).to_contain_text("Gateway")
    assert secret not in page.content()
    assert ApiKey.objects.count() == 1


def test_a_key_is_rotated_in_a_dialog_that_shows_the_new_one(admin_browser: AdminBrowser) -> None:
    key, _ = make_key("Gateway")
    page = admin_browser.open(f"/admin/events/apikey/{key.pk}/change/")
    open_dialog(page, "Rotate")
    page.get_by_role("button", name="Rotate key").click()
    expect(page.locator("#secret")).to_have_value(re.compile("^sk_"))
    assert ApiKey.objects.count() == 2


def test_an_invoice_is_opened_from_home(usage: None, admin_browser: AdminBrowser) -> None:
    invoice = Invoice.objects.create(
        customer=make_customer(name="Nordwind"), kind="one_off", currency="USD", computed_at=timezone.now()
    )
    page = admin_browser.open("/admin/")
    page.locator(".ch-queue").filter(has_text="Draft invoices").click()
    page.get_by_role("link", name=str(invoice)).click()
    expect(page.locator("body")).to_contain_text("Nordwind")


def test_the_search_opens_a_customer(usage: None, admin_browser: AdminBrowser) -> None:
    page = admin_browser.open("/admin/")
    page.keyboard.press("Control+k")
    page.locator("#search-input-command").press_sequentially("acme")
    page.locator("#command-results").get_by_text("Acme Ltd").click()
    expect(page).to_have_url(re.compile("/admin/customers/customer/"))
    page.wait_for_load_state("networkidle")
