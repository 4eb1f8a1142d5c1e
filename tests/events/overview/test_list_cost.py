"""A page of a customer's or an invoice line's events costs the same with ten times the events, in blocks read."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from billing.overview.customer import latest_events
from customers.periods import Period
from events.models import Event
from events.overview.event_list import EventFilters, list_events
from events.usage.contributing_events import events_behind
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature
from tests.many_rows import copy_row, counted_blocks

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
FEW, MANY = 20_000, 200_000
START = datetime(2026, 3, 1, tzinfo=UTC)
MARCH = Period(START, datetime(2026, 4, 1, tzinfo=UTC))


Pages = dict[str, Callable[[], object]]


@pytest.fixture
def pages() -> Pages:
    """Return functions that each read the first page of the customer's events."""
    feature, customer = make_feature(), make_customer(external_id="acme")
    send(at=START)
    process()
    return {
        "list of the API": lambda: list_events(EventFilters(external_customer_id="acme"), size=50).events,
        "page of the customer": lambda: latest_events(customer, 10),
        "events behind a line": lambda: list(events_behind(customer.pk, feature, [MARCH], most=100)),
    }


def fill(until: int) -> None:
    """Copy the customer's first event, at times all over March, until there are `until` events."""
    count = Event.objects.count()
    number = f"({count} + n)"
    copy_row(
        Event.objects.order_by("pk")[0],
        until - count,
        id=f"1000000 + {number}",
        event_id=f"md5({number}::text)",
        occurred_at=f"'2026-03-01 00:00Z'::timestamptz + mod({number}::bigint * 7919, 2600000) * interval '1 second'",
    )


def count_blocks(pages: Pages) -> dict[str, int]:
    blocks = {}
    for name, read_page in pages.items():
        with counted_blocks() as selects:
            assert read_page()
        blocks[name] = sum(selects)
    return blocks


@pytest.mark.hot
def test_pages_read_as_many_blocks_with_ten_times_the_events(pages: Pages) -> None:
    fill(FEW)
    few = count_blocks(pages)
    fill(MANY)
    many = count_blocks(pages)
    # An index may have one more level.
    assert {name: (few[name], blocks) for name, blocks in many.items() if blocks > few[name] + 4} == {}
