"""A large run's chunks wait in a queue of their own, so that what else the workers do isn't kept waiting."""

import socket
from contextlib import suppress

import pytest
from kombu import Connection

from billing.tasks import bill_chunk, dry_run_chunk
from config.celery import app
from events.ingest import nudge

CHUNKS = 20


@pytest.fixture(params=["folder", pytest.param("redis", marks=pytest.mark.redis)])
def broker(request, tmp_path):
    """Let the application use a broker of the test's own: each of the two that the product knows."""
    options: dict[str, object] = {}
    if request.param == "folder":
        url = "folder://localhost"
        options = {"data_folder_in": str(tmp_path / "messages"), "data_folder_out": str(tmp_path / "messages")}
        options |= {"control_folder": str(tmp_path / "control"), "polling_interval": 0.01}
    else:
        url = request.getfixturevalue("redis_url")
    before = {name: app.conf.get(name) for name in ("broker_transport_options", "broker_write_url")}
    app.conf.update(broker_transport_options=options, broker_write_url=url)
    with Connection(url, transport_options=options) as connection:
        yield connection
        for queue in app.amqp.queues.consume_from.values():
            queue(connection.default_channel).purge()
    app.conf.update(before)


def taken(connection, count):
    """Take so many messages as a worker with one process does, one by one, and name their tasks."""
    names = []

    def take(message):
        names.append(message.headers["task"].split(".")[-1])
        message.ack()

    with app.amqp.TaskConsumer(connection.default_channel, on_message=take, accept=["json"]) as consumer:
        consumer.qos(prefetch_count=1)
        while len(names) < count:
            with suppress(socket.timeout):
                connection.drain_events(timeout=5)
    return names


@pytest.mark.parametrize("chunk", [bill_chunk, dry_run_chunk])
def test_events_are_not_kept_waiting_by_a_large_run(broker, chunk):
    for number in range(CHUNKS):
        chunk.apply_async((number,), connection=broker)
    assert nudge.send()
    first = taken(broker, 3)
    assert "process_inbox" in first
    assert taken(broker, CHUNKS + 1 - 3) == [chunk.name.split(".")[-1]] * (CHUNKS - 2)
