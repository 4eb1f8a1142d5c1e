"""The self-test sends, counts, invoices and reports known usage, and leaves no trace in the books."""

import contextlib
import socket
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from billing.lifecycle.finalize import finalize
from billing.models import Invoice, SelfTest
from billing.runs.billing_run import run_to_end
from billing.self_test.running import prune_self_tests, run_self_test
from billing.self_test.sending import send_events, webhook_secret
from billing.tasks import self_test
from config.alarms.checks import run_checks
from config.alarms.kinds import AlarmKind
from config.alarms.models import Alarm
from config.backups.manifest import find_differences, read_content
from config.backups.programs import connect
from config.db.clock import read_clock
from config.refusals import Refused
from config.webhooks.posting import sign
from events.access.self_test import get_self_test_key
from events.ledger.processing import process_batch
from events.models import ApiKey, InboxEvent, InboxRequest
from events.overview.dashboard import waiting
from tests.api import Api
from tests.events.senders import process, send
from tests.factories import make_feature, make_subscription
from tests.services import free_port

STAGES = ["accepted", "counted", "invoiced", "finalized", "document", "webhook"]
KEY_ID = 1_000_000
# Its results, when its key was used, and that a process is alive, which a web process writes at any time.
OWN_TABLES = {"public.billing_selftest", "public.events_apikey", "public.config_heartbeat"}


@pytest.fixture
def reached(transactional_db: None, web_server: str, settings: Any) -> str:
    """Let the self-test reach the web process, which has the same secret key.

    The web process knows the API key's row for three seconds, so the row has the same key in each test.
    """
    settings.SELF_TEST_URL, settings.SELF_TEST = web_server, True
    get_self_test_key(now=read_clock())
    ApiKey.objects.filter(is_self_test=True).update(id=KEY_ID)
    return web_server


def read_books() -> dict[str, list[str]]:
    """Add up every table of the database, except the self-test's own and heartbeats."""
    with connect() as server:
        tables = read_content(server)["tables"]
    return {name: sums for name, sums in tables.items() if name not in OWN_TABLES}


def make_company_with_an_invoice() -> None:
    subscription = make_subscription(starts_at=datetime(2026, 1, 1, tzinfo=UTC))
    make_feature(event_name="api.calls")
    send("api.calls", customer=subscription.customer.external_id)
    process()
    run_to_end(as_of=datetime(2026, 2, 2, tzinfo=UTC))
    for invoice in Invoice.objects.order_by("pk")[:1]:
        finalize(invoice, now=datetime(2026, 2, 2, tzinfo=UTC))


def test_all_stages_pass_and_every_table_is_as_before(reached: str):
    make_company_with_an_invoice()
    before = read_books()
    result = run_self_test(now=read_clock())
    assert (result.failed_stage, result.problem) == ("", "")
    assert list(result.stages) == STAGES
    assert find_differences(before, read_books()) == []


def test_what_it_sends_is_counted_by_no_worker_and_in_no_list(reached: str):
    _, secret = get_self_test_key(now=read_clock())
    send_events("self-test-x", secret, since=read_clock() - timedelta(days=7))
    assert InboxRequest.with_self_test.count() == 2
    assert (InboxRequest.objects.count(), InboxEvent.objects.count()) == (0, 0)
    assert waiting(now=read_clock()).count == 0
    assert process_batch().events == 0
    send("api.calls", customer="acme")
    assert process_batch().events == 1


def test_the_next_pass_removes_what_a_killed_one_left_in_the_inbox(reached: str):
    _, secret = get_self_test_key(now=read_clock())
    send_events("self-test-of-a-killed-worker", secret, since=read_clock() - timedelta(days=7))
    assert run_self_test(now=read_clock()).problem == ""
    assert InboxRequest.with_self_test.count() == 0


def test_what_a_killed_pass_left_is_removed_after_the_self_test_was_switched_off(reached: str, settings: Any):
    _, secret = get_self_test_key(now=read_clock())
    send_events("self-test-of-a-killed-worker", secret, since=read_clock() - timedelta(days=7))
    send("api.calls", customer="acme")
    settings.SELF_TEST = False
    assert self_test() == 0
    assert InboxRequest.with_self_test.count() == InboxRequest.objects.count() == 1


def refuse(*args: Any, **kwargs: Any) -> None:
    raise Refused("refused in this test")


@pytest.mark.parametrize(
    ("target", "value", "stage", "problem"),
    [
        ("billing.self_test.expected.QUANTITY", Decimal("34.5"), "counted", "Usage: 34.75 instead of 34.5."),
        ("billing.self_test.expected.TAX", Decimal("2.00"), "invoiced", "Tax: 2.5 instead of 2."),
        ("billing.self_test.billed.finalize", refuse, "finalized", "refused in this test"),
        ("billing.self_test.running.render", lambda *args, **kwargs: b"", "document", "instead of b'%PDF-'"),
        ("billing.self_test.sending.webhook_secret", lambda: "whsec_AAAA", "webhook", "returned 401, not 200"),
    ],
)
def test_a_failing_stage_is_named(reached: str, monkeypatch, target: str, value: Any, stage: str, problem: str):
    before = read_books()
    monkeypatch.setattr(target, value)
    result = run_self_test(now=read_clock())
    assert result.failed_stage == stage
    assert problem in result.problem
    assert list(result.stages) == STAGES[: STAGES.index(stage)]
    assert find_differences(before, read_books()) == []


def test_a_web_process_that_doesnt_answer_is_named(transactional_db, settings, monkeypatch):
    monkeypatch.setattr("billing.self_test.sending.CONNECT_AGAIN", 1)
    settings.SELF_TEST_URL = f"http://127.0.0.1:{free_port()}"
    result = run_self_test(now=read_clock())
    assert result.failed_stage == "accepted"
    assert result.problem == f"{settings.SELF_TEST_URL} can't be reached: [Errno 111] Connection refused"


def test_a_web_process_that_is_starting_is_waited_for(reached: str, settings):
    """The port is open, but nothing listens until the second attempt, half a second later."""
    target = urlsplit(reached)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        settings.SELF_TEST_URL = f"http://127.0.0.1:{listener.getsockname()[1]}"
        starting = threading.Timer(1, forward_to, [listener, target.port])
        starting.start()
        result = run_self_test(now=read_clock())
        starting.join()
    assert result.problem == ""


def forward_to(listener: socket.socket, port: int) -> None:
    """Answer the pass's connections, one for events and one for the webhook, with those of the web process."""
    listener.listen()
    for _ in range(2):
        client, _ = listener.accept()
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            upstream = threading.Thread(target=copy_bytes, args=[client, server])
            upstream.start()
            threading.Thread(target=copy_bytes, args=[server, client]).start()
            upstream.join()


def copy_bytes(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)


def test_an_unexpected_error_is_recorded_and_raised(reached: str, monkeypatch):
    def crash(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a fault in the code")

    monkeypatch.setattr("billing.self_test.billed.finalize", crash)
    with pytest.raises(RuntimeError):
        run_self_test(now=read_clock())
    result = SelfTest.objects.get()
    assert (result.failed_stage, result.problem) == ("finalized", "a fault in the code")
    assert InboxRequest.with_self_test.count() == 0


def test_old_results_are_deleted_failures_later(db, settings):
    settings.LOG_DAYS = 30
    now = read_clock()
    for days, stage in ((1, ""), (3, ""), (3, "counted"), (31, "counted")):
        at = now - timedelta(days=days)
        problem = "It differs." if stage else ""
        SelfTest.objects.create(started_at=at, finished_at=at, failed_stage=stage, problem=problem)
    prune_self_tests(now=now)
    kept = [((now - row.started_at).days, row.failed_stage) for row in SelfTest.objects.order_by("pk")]
    assert kept == [(1, ""), (3, "counted")]


def test_the_receiver_accepts_only_what_is_signed(db, client: Client):
    body = '{"event_type": "invoice.update.finalized", "invoice": {"total": "15.00"}}'
    assert client.post("/v1/self-tests/webhook", body, content_type="application/json").status_code == 401
    headers = sign("msg_1", body, [webhook_secret()], at=read_clock())
    answer = client.post("/v1/self-tests/webhook", body, content_type="application/json", headers=headers)
    assert answer.json() == {"event_type": "invoice.update.finalized", "total": "15.00"}


def test_home_says_that_billing_works_end_to_end_or_where_it_stops(staff_client: Client, settings):
    settings.SELF_TEST = True
    assert "the first self-test runs within three minutes" in staff_client.get("/admin/").content.decode()
    at = read_clock() - timedelta(minutes=2)
    SelfTest.objects.create(started_at=at, finished_at=at)
    assert "billing works end to end, 2 min ago" in staff_client.get("/admin/").content.decode()
    SelfTest.objects.create(
        started_at=at, finished_at=at, failed_stage="counted", problem="Usage: 34 instead of 34.75."
    )
    page = staff_client.get("/admin/").content.decode()
    assert "It stops at “Events counted”: Usage: 34 instead of 34.75." in page


def test_home_says_that_the_self_test_has_stopped(staff_client: Client, settings):
    settings.SELF_TEST = True
    at = read_clock() - timedelta(minutes=11)
    SelfTest.objects.create(started_at=at, finished_at=at)
    assert "It hasn’t run for ten minutes" in staff_client.get("/admin/").content.decode().replace("&#x27;", "’")


def test_results_are_shown_in_the_admin_and_the_api(staff_client: Client, api: Api):
    at = datetime(2026, 11, 29, 9, tzinfo=UTC)
    SelfTest.objects.create(started_at=at, finished_at=at, stages={"accepted": 12, "counted": 34})
    SelfTest.objects.create(
        started_at=at, finished_at=at, stages={"accepted": 12}, failed_stage="counted", problem="No."
    )
    page = staff_client.get("/admin/billing/selftest/").content.decode()
    assert "Events accepted" in page
    assert "Failed: Events counted" in page
    failed, passed = api.get("self-tests")["items"]
    assert (failed["failed_stage"], failed["problem"]) == ("counted", "No.")
    assert passed["stages"] == [{"stage": "accepted", "duration_ms": 12}, {"stage": "counted", "duration_ms": 34}]
    assert passed["failed_stage"] is None
    assert len(api.get("self-tests", is_failed="true")["items"]) == 1


def test_an_alarm_names_the_stage_until_a_pass_works_again(db, settings):
    settings.SELF_TEST = True
    now = read_clock()
    SelfTest.objects.create(
        started_at=now, finished_at=now, failed_stage="counted", problem="Usage: 34 instead of 34.75."
    )
    run_checks(now=now)
    alarm = Alarm.objects.get(kind=AlarmKind.SELF_TEST_FAILED)
    assert "It stops at “Events counted”: Usage: 34 instead of 34.75." in alarm.message
    SelfTest.objects.create(started_at=now, finished_at=now)
    run_checks(now=now + timedelta(minutes=3))
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None
