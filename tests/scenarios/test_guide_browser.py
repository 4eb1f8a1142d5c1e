"""Problems of the guide found and fixed by clicking, in Chromium with the page's content security policy."""

import pytest

from catalog.features import archive_feature
from events.ledger.processing import process_batch
from events.models import Problem, ProblemState
from tests.scenarios.guide import begin, make_guide

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
DEBUGGER = "/admin/events/debugger/"


@pytest.fixture
def guide(staff_client):
    return make_guide(staff_client)


def mend(browser, event_id: str, button: str, **filled: str) -> str:
    """Find the event in the live view, open a fix, fill in its fields, apply it, and return the proof's text."""
    page = browser.open(DEBUGGER)
    page.get_by_role("link", name=event_id, exact=True).first.click()
    page.get_by_role("link", name=button).first.click()
    for label, value in filled.items():
        page.locator(f"#fix-{label}").fill(value)
    if filled:
        page.get_by_role("button", name="Preview").click()
    page.locator("#id_reason").fill("Found by the guide")
    page.get_by_role("button", name="Apply").click()
    return str(page.locator("#proof").inner_text())


def nothing_is_open() -> bool:
    return not Problem.objects.filter(state=ProblemState.OPEN).exists()


def test_a_name_in_the_wrong_case_is_mapped_by_clicking(admin_browser, guide):
    guide.accepted(event_name="Model.Usage", event_id="wrong-case")
    proof = mend(admin_browser, "wrong-case", "Count “Model.Usage” as “model.usage”")
    assert "1 problem closed, 0 still open" in proof
    assert "$1.00 more" in proof
    assert nothing_is_open()


def test_an_unknown_customer_is_created_by_clicking(admin_browser, guide):
    guide.accepted(external_customer_id="newcomer", event_id="unknown")
    proof = mend(admin_browser, "unknown", "Create the customer “newcomer”", name="Newcomer")
    assert "Newcomer" in proof
    assert nothing_is_open()


def test_an_archived_feature_is_activated_by_clicking(admin_browser, guide):
    archive_feature(guide.credits, now=begin(), by=None)
    guide.accepted(event_id="archived")
    assert "$1.00 more" in mend(admin_browser, "archived", "Activate the feature")
    assert nothing_is_open()


def test_numeric_strings_are_accepted_by_clicking(admin_browser, guide):
    guide.accepted(properties={"credits": "2"}, event_id="string")
    assert "$1.00 more" in mend(admin_browser, "string", "Accept numeric strings")
    assert nothing_is_open()


def test_a_test_event_is_sent_and_followed_until_it_counts(admin_browser, guide):
    page = admin_browser.open(f"{DEBUGGER}dry-run/")
    page.locator("#payload").fill(
        '{"event_id": "try", "event_name": "model.usage", "external_customer_id": "acme", "properties": {"credits": 2}}'
    )
    page.get_by_role("button", name="Dry run", exact=True).click()
    assert "It would count" in page.locator(".ch-verdict").inner_text()
    page.get_by_role("button", name="Send as a test event").click()
    page.get_by_text("Waiting to be processed").wait_for()
    process_batch()
    page.get_by_role("heading", name="Counted").wait_for()
    assert "it added 2 units" in page.locator("body").inner_text()


def test_the_live_view_updates_automatically_and_can_be_paused(admin_browser, guide):
    page = admin_browser.open(DEBUGGER)
    assert page.get_by_text("No events yet").is_visible()
    guide.accepted(event_id="came-later")
    page.get_by_role("link", name="came-later").wait_for()
    page.get_by_role("button", name="Pause").click()
    assert page.get_by_text("Paused").is_visible()


def test_the_query_tool_draws_a_chart_and_hides_unneeded_fields(admin_browser, guide):
    guide.accepted()
    page = admin_browser.open("/admin/events/query/")
    assert not page.locator("#q-start").is_visible()
    page.locator("#q-feature").select_option(label="Credits · model.usage")
    page.locator("#q-window").select_option("custom")
    assert page.locator("#q-start").is_visible()
    page.locator("#q-window").select_option("month")
    page.locator("#q-group").select_option("day")
    page.get_by_role("button", name="Run query").click()
    page.get_by_role("link", name="Recount from the ledger").click()
    assert "Both match." in page.locator("body").inner_text()
    assert page.locator("canvas[data-chart]").bounding_box()["height"] > 100
