"""Watch that every change in a request names a person or an API key, in all tests that send requests."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.core.signals import request_finished, request_started
from django.db.models.signals import pre_save

_requests = threading.local()
_entries: list[LogEntry] = []


def _start(**kwargs: Any) -> None:
    _requests.are_running = True


def _finish(**kwargs: Any) -> None:
    _requests.are_running = False


def _note(instance: LogEntry, **kwargs: Any) -> None:
    if getattr(_requests, "are_running", False):
        _entries.append(instance)


@pytest.fixture(scope="session")
def entries_of_requests() -> list[LogEntry]:
    """Return the entries that requests of the running test write to the change log."""
    request_started.connect(_start)
    request_finished.connect(_finish)
    pre_save.connect(_note, sender=LogEntry)
    return _entries


@pytest.fixture(autouse=True)
def every_change_names_its_author(entries_of_requests: list[LogEntry]) -> Iterator[None]:
    """Fail if a request of the test changed something, and the change log doesn't say who sent it."""
    entries_of_requests.clear()
    _finish()  # a test before this one may have left a streamed response open
    yield
    assert [str(entry) for entry in entries_of_requests if not is_named(entry)] == []


def is_named(entry: LogEntry) -> bool:
    return entry.actor_id is not None or bool((entry.additional_data or {}).get("api_key"))
