import time

import pytest

from config.celery import app
from events.ingest import nudge


@pytest.fixture
def queue(settings, tmp_path):
    """Return a function that counts the messages waiting on the test's broker."""
    options = {
        "data_folder_in": str(tmp_path / "messages"),
        "data_folder_out": str(tmp_path / "messages"),
        "control_folder": str(tmp_path / "control"),
    }
    before = app.conf.broker_transport_options
    app.conf.broker_transport_options = options
    yield lambda: len(list((tmp_path / "messages").glob("*.msg")))
    app.conf.broker_transport_options = before


def test_a_nudge_asks_a_worker_to_process_the_inbox(queue):
    assert nudge.send()
    assert queue() == 1


def test_nudges_do_not_pile_up_without_a_worker(queue):
    assert [nudge.send() for _ in range(8)] == [True] * 5 + [False] * 3
    assert queue() == 5


def test_many_nudges_send_few_messages_and_never_wait(queue):
    begun = time.monotonic()
    for _ in range(1000):
        nudge.nudge()
    assert time.monotonic() - begun < 0.5
    until = time.monotonic() + 5
    while not queue() and time.monotonic() < until:
        time.sleep(0.01)
    assert 1 <= queue() <= 2


def test_a_broken_broker_causes_no_errors(monkeypatch):
    tried = []

    def fail():
        tried.append(1)
        raise OSError("no space left")

    monkeypatch.setattr(nudge, "send", fail)
    monkeypatch.setattr(nudge, "EVERY_S", 0.01)
    until = time.monotonic() + 5
    while len(tried) < 3 and time.monotonic() < until:
        nudge.nudge()
        time.sleep(0.01)
    assert len(tried) >= 3
