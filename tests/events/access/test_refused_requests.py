from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from events.access import refused_requests
from events.access.keys import make_key, revoke
from events.access.refused_requests import MAX_DIFFERENT, flush, record_refusal
from events.models import RefusedRequest
from tests.process_state import clear_refusals

NOW = datetime(2026, 3, 10, 12, 0, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def none_from_other_tests(request):
    """Start without refusals: those of earlier tests with a web server may still be written by a thread."""
    clear_refusals()
    if request.node.get_closest_marker("django_db"):
        request.getfixturevalue("transactional_db" if _is_transactional(request) else "db")
        RefusedRequest.objects.all().delete()


def _is_transactional(request) -> bool:
    return bool(request.node.get_closest_marker("django_db").kwargs.get("transaction"))


def refuse(message="event_name is required", *, status=400, field="event_name", now=NOW, **other):
    given = {"path": "/v1/events", "key_prefix": "sk_abcdefghi"} | other
    record_refusal(status=status, field=field, message=message, now=now, **given)


@pytest.mark.django_db
def test_a_refusal_is_logged_with_its_field_and_message():
    refuse()
    row = RefusedRequest.objects.get()
    assert (row.status, row.reason, row.path) == (400, "bad_request", "/v1/events")
    assert (row.field, row.message, row.key_prefix) == ("event_name", "event_name is required", "sk_abcdefghi")
    assert (row.minute, row.last_at, row.count) == (NOW.replace(second=0), NOW, 1)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "unauthorized"), (403, "forbidden"), (413, "too_large"), (429, "rate_limited")],
)
def test_each_status_has_its_reason(status, reason):
    refuse(status=status)
    assert RefusedRequest.objects.get().reason == reason


@pytest.mark.django_db
@pytest.mark.parametrize("status", [202, 404, 409, 500, 503])
def test_other_responses_are_not_logged(status):
    refuse(status=status)
    assert not RefusedRequest.objects.exists()


@pytest.mark.django_db
def test_equal_refusals_of_a_minute_share_a_row():
    for seconds in (0, 10, 29):
        refuse(now=NOW + timedelta(seconds=seconds))
    refuse(now=NOW + timedelta(seconds=30))
    refuse("external_customer_id is required")
    rows = RefusedRequest.objects.order_by("minute", "message")
    assert [(row.count, row.last_at - NOW) for row in rows] == [
        (3, timedelta(seconds=29)),
        (1, timedelta()),
        (1, timedelta(seconds=30)),
    ]


@pytest.mark.django_db
def test_the_same_mistake_in_different_events_shares_a_row():
    refuse("events[3].timestamp is too early", field="events[3].timestamp")
    refuse("events[17].timestamp is too early", field="events[17].timestamp")
    row = RefusedRequest.objects.get()
    assert (row.field, row.message, row.count) == ("events[].timestamp", "events[].timestamp is too early", 2)


@pytest.mark.django_db
def test_long_texts_are_cut_and_unstorable_characters_dropped():
    refuse("m" * 2000, field="f\x00" * 400, path="/v1/" + "p" * 500, key_prefix="sk_" + "k" * 50)
    refuse("half \ud800 a pair", field="")
    row = RefusedRequest.objects.get(message__startswith="m")
    assert [len(row.message), len(row.path), len(row.key_prefix)] == [512, 128, 16]
    assert set(row.field) == {"f"}
    assert RefusedRequest.objects.filter(message="half ? a pair").exists()


@pytest.mark.django_db(transaction=True)
def test_a_flood_of_different_refusals_writes_few_rows():
    for number in range(MAX_DIFFERENT + 300):
        refuse(f"mistake {number}")
    flush()
    assert RefusedRequest.objects.count() == MAX_DIFFERENT + 1
    assert RefusedRequest.objects.get(message="Many different refusals at once.").count == 300


@pytest.mark.django_db(transaction=True)
def test_refusals_are_written_in_the_background(monkeypatch):
    monkeypatch.setattr(refused_requests, "FLUSH_EVERY_S", 0.01)
    refuse()
    thread = refused_requests._background._thread
    assert thread is not None
    thread.join(10)
    assert RefusedRequest.objects.get().count == 1


@pytest.mark.django_db(transaction=True)
def test_without_a_database_refusals_are_kept_for_later(monkeypatch):
    monkeypatch.setattr(refused_requests._background, "ensure_running", lambda: None)
    refuse()
    connection.close()
    with monkeypatch.context() as broken:
        broken.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        broken.setitem(connection.settings_dict, "PORT", "1")
        flush()
        refuse()
    connection.close()
    flush()
    assert RefusedRequest.objects.get().count == 2


@pytest.mark.django_db
def test_strangers_cant_fill_the_table(client):
    for number in range(20):
        key = f"sk_{number:03}{'x' * 40}"
        for path in ("/v1/customers", f"/v1/customers/{number}", f"/v1/events/a/{number}"):
            address = f"203.0.113.{number}"
            response = client.get(path, headers={"x-api-key": key}, REMOTE_ADDR=address)
            assert response.status_code == 401
    rows = RefusedRequest.objects.order_by("path").values_list("path", "count", "field", "key_prefix", "message")
    unknown = "The API key is not known."
    assert list(rows) == [
        ("/v1/customers", 20, "", "", unknown),
        ("/v1/customers/{customer_id}", 20, "", "", unknown),
        ("/v1/events/{event_id}", 20, "", "", unknown),
    ]
    row = RefusedRequest.objects.first()
    assert (row.minute.minute, row.first_address, row.last_address) == (0, "203.0.113.0", "203.0.113.19")


@pytest.mark.django_db
def test_a_known_key_is_named_whether_it_is_still_valid_or_not(client):
    key, secret = make_key("Shop", scopes=["read"])
    client.post("/v1/customers", {}, content_type="application/json", headers={"x-api-key": secret})
    revoke(key, now=NOW)
    client.get("/v1/customers/acme", headers={"x-api-key": secret})
    rows = RefusedRequest.objects.order_by("status").values_list("status", "path", "key_prefix")
    assert list(rows) == [(401, "/v1/customers/acme", key.prefix), (403, "/v1/customers", key.prefix)]
