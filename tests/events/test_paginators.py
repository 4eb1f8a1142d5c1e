"""Keyset pages: every row once, in order, both ways."""

from datetime import timedelta

import pytest

from events.models import InboxEvent, RefusedRequest
from events.paginators import BadCursor, Keyset
from tests.events.senders import NOON, send

pytestmark = pytest.mark.django_db


def refuse(number, minutes):
    when = NOON + timedelta(minutes=minutes)
    return RefusedRequest.objects.create(minute=when, last_at=when, status=400, path="/v1", message=str(number))


def test_older_pages_show_every_row_once_also_those_of_the_same_moment():
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


def test_by_primary_key_alone():
    for number in range(3):
        send(event_id=f"e{number}")
    keyset = Keyset()
    newest = keyset.older(InboxEvent.objects.all(), "")[:2]
    assert [row.event_id for row in newest] == ["e2", "e1"]
    assert [row.event_id for row in keyset.older(InboxEvent.objects.all(), keyset.cursor_of(newest[1]))] == ["e0"]


@pytest.mark.parametrize("cursor", ["x", "2026-03-10~1", "2026-03-10T12:00:00~1", "now~1", "~", "1" * 30])
def test_a_cursor_that_names_no_row_is_refused(cursor):
    with pytest.raises(BadCursor):
        Keyset("last_at").older(RefusedRequest.objects.all(), cursor)
