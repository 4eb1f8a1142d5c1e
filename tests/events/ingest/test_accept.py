import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from django.db import connection, transaction

from events.ingest import accept as ingestion
from events.ingest.accept import ContentRefused, InboxUnavailable, accept
from events.ingest.payload import IncomingEvent
from events.models import InboxEvent
from tests.owner import owner_url
from tests.web_server import database_url

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def make_event(event_id="e1", *, properties="{}", occurred_at=None, source="", **names):
    return IncomingEvent(
        event_id=event_id,
        event_name=names.get("event_name", "tokens.used"),
        external_customer_id=names.get("customer", "acme"),
        occurred_at=occurred_at or NOW,
        has_timestamp=occurred_at is not None,
        source=source,
        properties=properties,
    )


def take(*events, key=7):
    return accept(events, api_key_id=key, received_at=NOW)


def as_written(event_id):
    """Return the number `n` of the event's properties as PostgreSQL stores it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT properties ->> 'n' FROM events_inboxevent WHERE event_id = %s", [event_id])
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_an_accepted_event_waits_in_the_inbox():
    at = datetime(2026, 3, 1, 8, 30, 0, 123456, tzinfo=UTC)
    accepted = take(make_event("a", occurred_at=at, source="shop", properties='{"n": 1}'))
    assert accepted.event_ids == ["a"]
    row = InboxEvent.objects.get()
    assert (row.event_id, row.event_name, row.external_customer_id) == ("a", "tokens.used", "acme")
    assert (row.occurred_at, row.has_timestamp, row.received_at) == (at, True, NOW)
    assert (row.source, row.api_key_id, row.properties) == ("shop", 7, {"n": 1})


@pytest.mark.django_db
def test_without_a_timestamp_the_time_of_arrival_is_stored():
    take(make_event(), key=None)
    row = InboxEvent.objects.get()
    assert (row.occurred_at, row.has_timestamp, row.api_key_id) == (NOW, False, None)


@pytest.mark.django_db
@pytest.mark.parametrize("number", ["1.10", "0.1000000000000000055511151231257827", "9" * 100, "-3", "1280"])
def test_numbers_keep_every_digit(number):
    take(make_event(properties=f'{{"n": {number}}}'))
    assert as_written("e1") == number


@pytest.mark.django_db
def test_powers_of_ten_keep_their_value():
    take(make_event("big", properties='{"n": 1.5e308}'), make_event("small", properties='{"n": 5e-324}'))
    assert (Decimal(as_written("big")), Decimal(as_written("small"))) == (Decimal("1.5e308"), Decimal("5e-324"))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text",
    ["tab\there", "line\nbreak", "return\r", "back\\slash", r"\N", r"\.", "quote'\"", "ü 日本 😀", "a\\tb", "\x01"],
)
def test_any_text_is_stored_as_sent(text):
    take(make_event(text, event_name=text, customer=text, source=text), make_event("next", source=""))
    row = InboxEvent.objects.get(event_id=text)
    assert (row.event_name, row.external_customer_id, row.source) == (text, text, text)
    assert InboxEvent.objects.get(event_id="next").source == ""


@pytest.mark.django_db
def test_properties_may_span_several_lines():
    take(make_event(properties='{\r\n\t"a\\n\\\\b": "c\\td"\n}'))
    assert InboxEvent.objects.get().properties == {"a\n\\b": "c\td"}


@pytest.mark.django_db
def test_repeated_ids_are_accepted():
    take(make_event("same"), make_event("same"))
    assert InboxEvent.objects.filter(event_id="same").count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("properties", ['{"n": "\\u0000"}', '{"n": 1e999999}', "{"])
def test_values_that_postgresql_refuses_are_refused(properties):
    with pytest.raises(ContentRefused), transaction.atomic():
        take(make_event("good"), make_event("bad", properties=properties))
    assert not InboxEvent.objects.exists()


@pytest.mark.django_db
def test_events_are_committed_with_the_callers_transaction():
    with transaction.atomic():
        take(make_event())
        assert InboxEvent.objects.count() == 1
        transaction.set_rollback(True)
    assert not InboxEvent.objects.exists()


# --- Committed for real -------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_batches_of_any_size_are_committed_on_return():
    sizes = [1, ingestion.MAX_SHARED, ingestion.MAX_SHARED + 1, 1000]
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:
        for size in sizes:
            take(*[make_event(f"{size}") for _ in range(size)])
            found = other.execute("SELECT count(*) FROM events_inboxevent WHERE event_id = %s", [str(size)]).fetchone()
            assert found == (size,)


@pytest.mark.django_db(transaction=True)
def test_concurrent_requests_store_every_event_once():
    def send(sender):
        for turn in range(25):
            take(make_event(f"{sender}-{turn}"), make_event(f"{sender}-{turn}-more"))
        connection.close()

    threads = [threading.Thread(target=send, args=[sender]) for sender in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert InboxEvent.objects.count() == InboxEvent.objects.values("event_id").distinct().count() == 300


@pytest.mark.django_db(transaction=True)
def test_a_refused_event_does_not_affect_others_in_the_same_commit():
    results = {}
    start = threading.Barrier(5)

    def send(number):
        properties = '{"n": "\\u0000"}' if number == 2 else "{}"
        start.wait(10)
        try:
            take(make_event(f"e{number}", properties=properties))
        except ContentRefused:
            results[number] = "refused"
        else:
            results[number] = "stored"
        connection.close()

    threads = [threading.Thread(target=send, args=[number]) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == {0: "stored", 1: "stored", 2: "refused", 3: "stored", 4: "stored"}
    assert set(InboxEvent.objects.values_list("event_id", flat=True)) == {"e0", "e1", "e3", "e4"}


def end_all_connections():
    """End every other connection to the test database, as a restart of the server does."""
    with psycopg.connect(owner_url(database_url()), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.django_db(transaction=True)
def test_a_broken_connection_is_replaced():
    for size in (1, 100):
        take(*[make_event("before")] * size)
        end_all_connections()
        take(*[make_event(f"after {size}")] * size)
        connection.close()
        assert InboxEvent.objects.filter(event_id=f"after {size}").count() == size


@pytest.mark.django_db(transaction=True)
def test_without_a_database_the_inbox_is_unavailable(monkeypatch):
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    begun = datetime.now(UTC)
    for size in (1, 100):
        with pytest.raises(InboxUnavailable):
            take(*[make_event()] * size)
    assert datetime.now(UTC) - begun < timedelta(seconds=2)
    connection.close()
