"""Events and problems by the day on which they occurred."""

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from events.models import EventState
from events.overview import by_day
from events.overview.by_day import events_by_day, problems_by_day
from events.overview.charts import events_chart, problems_chart
from events.reasons import Reason
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def customer():
    make_feature(event_name="api.calls")
    return make_customer(external_id="acme")


@pytest.mark.hot
def test_an_event_counts_on_the_day_it_occurred_whenever_it_arrived(customer):
    send("api.calls", at=NOW - timedelta(days=2), received_at=NOW)
    send("api.calls", at=NOW, received_at=NOW)
    send("wrong", at=NOW, received_at=NOW)
    process()
    counts = events_by_day(now=NOW)
    assert (len(counts.days), counts.days[-1]) == (30, datetime(2026, 3, 10, tzinfo=UTC))
    assert counts.counts[EventState.COUNTED][-3:] == [1, 0, 1]
    assert counts.counts[EventState.PROBLEM][-3:] == [0, 0, 1]


def test_events_of_the_future_and_of_long_ago_are_left_out(customer):
    send("api.calls", at=NOW + timedelta(days=1), received_at=NOW)
    send("api.calls", at=NOW - timedelta(days=40), received_at=NOW)
    process()
    assert sum(events_by_day(now=NOW).counts[EventState.COUNTED]) == 0


@pytest.mark.hot
def test_fewer_days_are_counted_when_there_are_too_many_events(customer, monkeypatch):
    monkeypatch.setattr(by_day, "MOST_EVENTS", 1)
    for number in range(3):
        send("api.calls", at=NOW - timedelta(days=number), received_at=NOW)
    process()
    assert len(events_by_day(now=NOW).days) == 1


def test_open_problems_are_shown_by_cause_and_rare_ones_together(customer, monkeypatch):
    monkeypatch.setattr("events.overview.charts.MOST_REASONS", 1)
    for _ in range(2):
        send("wrong", at=NOW, received_at=NOW)
    send("api.calls", customer="stranger", at=NOW, received_at=NOW)
    process()
    counts = problems_by_day(now=NOW)
    assert {reason: sum(days) for reason, days in counts.counts.items()} == {
        Reason.UNKNOWN_EVENT_NAME: 2,
        Reason.UNKNOWN_CUSTOMER: 1,
    }
    assert [series.name for series in problems_chart(counts).series] == ["Unknown event name", "Other causes"]


def listed(client, link):
    return {problem.event.event_id for problem in client.get(link).context_data["cl"].result_list}


def test_each_part_of_a_bar_leads_to_exactly_its_problems(staff_client, customer, monkeypatch):
    monkeypatch.setattr("events.overview.charts.MOST_REASONS", 1)
    today, day_before = NOW, NOW - timedelta(days=1)
    names = {send("wrong", at=today, received_at=NOW), send("other", at=today, received_at=NOW)}
    older = send("wrong", at=day_before, received_at=NOW)
    stranger = send("api.calls", customer="stranger", at=today, received_at=NOW)
    process()
    chart = problems_chart(problems_by_day(now=NOW))
    by_name, others = chart.series
    assert listed(staff_client, by_name.links[-1]) == names
    assert listed(staff_client, by_name.links[-2]) == {older}
    assert listed(staff_client, others.links[-1]) == {stranger}
    assert listed(staff_client, chart.links[-1]) == {*names, stranger}


@pytest.mark.hot
def test_each_part_of_a_bar_leads_to_the_events_of_its_status(staff_client, customer):
    counted = send("api.calls", at=NOW, received_at=NOW)
    send("wrong", at=NOW, received_at=NOW)
    process()
    chart = events_chart(events_by_day(now=NOW))
    [series] = [series for series in chart.series if series.name == "Counted"]
    events = staff_client.get(series.links[-1]).context_data["cl"].result_list
    assert [event.event_id for event in events] == [counted]


def test_charts_can_be_loaded_on_their_own(staff_client, customer):
    assert len(staff_client.get(reverse("admin:events_charts")).context_data["charts"]) == 2
    [problems] = staff_client.get(reverse("admin:events_charts"), {"only": "problems"}).context_data["charts"]
    assert problems.title == "Open problems by day and cause, last 30 days (UTC)"


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_keyboard_opens_a_part_of_a_bar(admin_browser):
    make_feature(event_name="api.calls")
    now = timezone.now()
    send("wrong", at=now, received_at=now)
    send("api.calls", customer="stranger", at=now, received_at=now)
    process()
    page = admin_browser.open(reverse("admin:events_problem_causes"))
    chart = page.get_by_role("img", name="Open problems by day and cause")
    chart.press("ArrowRight")
    chart.press("ArrowUp")
    expect(page.locator(".ch-chart p")).to_have_text(f"{now:%Y-%m-%d}, Unknown event name: 1")
    chart.press("Enter")
    expect(page.locator("#result_list")).to_contain_text("Unknown event name")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
