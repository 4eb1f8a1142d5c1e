"""Events that arrive while retention removes others: real threads, real locks."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from events.ledger import retention
from events.ledger.processing import BatchResult
from events.ledger.retention import prune
from events.models import DuplicateEvent, Event, KnownId
from events.usage.meter import usage
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature
from tests.locks import is_someone_waiting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.hot]
LONG_AGO = NOON - timedelta(days=90)


def process_in_thread() -> BatchResult:
    try:
        return process()
    finally:
        connection.close()


def test_a_repeat_that_arrives_while_its_event_is_removed_counts_once(retention_of_thirty_days, monkeypatch):
    monkeypatch.setattr(retention, "floors", [])
    acme, calls = make_customer(external_id="acme"), make_feature()
    event_id = send(at=LONG_AGO, received_at=LONG_AGO)
    process()
    send(event_id=event_id, at=LONG_AGO)
    batches: list[Future[BatchResult]] = []

    def process_after_deleting(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        """Let a batch run while the deletion of the event isn't committed, until it ends or waits for the row."""
        result = execute(sql, params, many, context)
        if "DELETE FROM events_event " in sql and params["ids"]:
            batches.append(pool.submit(process_in_thread))
            stop = time.monotonic() + 30
            while not (batches[0].done() or is_someone_waiting()) and time.monotonic() < stop:
                threading.Event().wait(0.01)
        return result

    with ThreadPoolExecutor(1) as pool, connection.execute_wrapper(process_after_deleting):
        assert prune(now=NOON).events == 1
    assert batches[0].result(timeout=30).duplicates == 1
    assert not Event.objects.exists()
    assert usage(acme.pk, calls, LONG_AGO, NOON).value == 1
    assert KnownId.objects.among([event_id]) == {event_id}
    assert DuplicateEvent.objects.get().count == 1
