"""A large run's chunks have their own queue, so that other tasks don't wait for them."""

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
    """Make the application use a separate broker: the file broker, or Redis."""
    options: dict[str, object] = {}
    if request.param == "folder":
        url = "folder://localhost"
        options = {"data_folder_in": str(tmp_path / "messages"), "data_folder_out": str(tmp_path / "messages")}
        options |= {"control_folder": str(tmp_path / "control"), "polling_interval": 0.01}
    else:
        url = request.getfixturevalue("redis_url")
    original = {name: app.conf.get(name) for name in ("broker_transport_options", "broker_write_url")}
    app.conf.update(broker_transport_options=options, broker_write_url=url)
    with Connection(url, transport_options=options) as connection:
        yield connection
        for queue in app.amqp.queues.consume_from.values():
            queue(connection.default_channel).purge()
    app.conf.update(original)


def receive(connection, count):
    """Receive messages one by one, like a worker with one process, and return the names of their tasks."""
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
def test_events_do_not_wait_for_a_large_run(broker, chunk):
    for number in range(CHUNKS):
        chunk.apply_async((number,), connection=broker)
    assert nudge.send()
    first = receive(broker, 3)
    assert "process_inbox" in first
    assert receive(broker, CHUNKS + 1 - 3) == [chunk.name.split(".")[-1]] * (CHUNKS - 2)
