"""Keyset pages show every row once, in order, in both directions."""

import json
from datetime import timedelta

import pytest
from django.db import connection

from config.office.keyset import BadCursor, Keyset, NumberedKeyset
from events.models import InboxEvent, RefusedRequest
from tests.events.senders import NOON, send
from tests.owner import as_owner

pytestmark = pytest.mark.django_db


def refuse(number, minutes):
    when = NOON + timedelta(minutes=minutes)
    return RefusedRequest.objects.create(minute=when, last_at=when, status=400, path="/v1", message=str(number))


def test_older_pages_show_every_row_once_including_equal_times():
    for number, minutes in enumerate([0, 1, 1, 1, 1, 2]):
        refuse(number, minutes)
    keyset, seen, cursor = Keyset("last_at"), [], ""
    while page := list(keyset.older(RefusedRequest.objects.all(), cursor)[:2]):
        seen += [row.message for row in page]
        cursor = keyset.cursor_of(page[-1])
    assert seen == ["5", "4", "3", "2", "1", "0"]


def test_newer_goes_back_to_the_nearest_rows():
    rows = [refuse(number, 1) for number in range(5)]
    keyset = Keyset("last_at")
    nearest = keyset.newer(RefusedRequest.objects.all(), keyset.cursor_of(rows[1]))[:2]
    assert [row.message for row in nearest] == ["2", "3"]


def test_pages_by_primary_key():
    for number in range(3):
        send(event_id=f"e{number}")
    keyset = Keyset()
    newest = keyset.older(InboxEvent.objects.all(), "")[:2]
    assert [row.event_id for row in newest] == ["e2", "e1"]
    assert [row.event_id for row in keyset.older(InboxEvent.objects.all(), keyset.cursor_of(newest[1]))] == ["e0"]


def wait_together(*requests):
    """Put requests of several events into the inbox, oldest first, and bring the planner's figures up to date."""
    with connection.cursor() as cursor:
        for ids in requests:
            cursor.execute(
                "INSERT INTO events_inboxrequest (event_ids, event_names, external_customer_ids, occurred_at,"
                " received_at, sources, properties) SELECT array_agg(id), array_agg('a'::text), array_agg('b'::text),"
                " array_agg(now()), now(), array_agg(''::text), array_agg('{}'::jsonb) FROM unnest(%s::text[]) AS id",
                [ids],
            )
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("ANALYZE events_inboxrequest")


def test_pages_by_the_key_of_another_table_in_both_directions():
    wait_together(["a", "b", "c"], ["d"], ["e", "f"])
    keyset, seen, cursor = NumberedKeyset("request_id"), [], ""
    while page := list(keyset.older(InboxEvent.objects.all(), cursor)[:2]):
        seen += page
        cursor = keyset.cursor_of(page[-1])
    assert [event.event_id for event in seen] == ["f", "e", "d", "c", "b", "a"]
    nearest = keyset.newer(InboxEvent.objects.all(), keyset.cursor_of(seen[4]))[:2]
    assert [event.event_id for event in nearest] == ["c", "d"]
    for wrong in ("x~1", "-1~1", "2026-03-10T12:00:00+00:00~1", f"{'9' * 30}~1"):
        with pytest.raises(BadCursor):
            keyset.older(InboxEvent.objects.all(), wrong)


def test_a_page_of_waiting_events_reads_few_other_requests():
    wait_together(*[[f"{request}-{event}" for event in range(10)] for request in range(300)])
    keyset = NumberedKeyset("request_id")
    newest = list(keyset.older(InboxEvent.objects.all(), "")[:50])
    assert [newest[0].event_id, newest[-1].event_id] == ["299-9", "295-0"]
    for rows in (
        keyset.older(InboxEvent.objects.all(), "")[:50],
        keyset.older(InboxEvent.objects.all(), keyset.cursor_of(newest[-1]))[:50],
        keyset.newer(InboxEvent.objects.all(), keyset.cursor_of(newest[-1]))[:40],
    ):
        [plan] = json.loads(rows.explain(format="json", analyze=True))
        assert requests_read(plan["Plan"]) <= 7


def requests_read(plan):
    """Add up how many rows a plan took out of the table of waiting requests."""
    here = plan["Actual Rows"] * plan["Actual Loops"] if plan.get("Relation Name") == "events_inboxrequest" else 0
    return here + sum(requests_read(inner) for inner in plan.get("Plans", ()))


@pytest.mark.parametrize("cursor", ["x", "2026-03-10~1", "2026-03-10T12:00:00~1", "now~1", "~", "1" * 30])
def test_an_invalid_cursor_is_rejected(cursor):
    with pytest.raises(BadCursor):
        Keyset("last_at").older(RefusedRequest.objects.all(), cursor)
