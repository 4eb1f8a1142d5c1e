"""The file broker, which is used without Redis, is safe for several processes that start at the same time."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from kombu import Connection, Exchange, Queue

from config.server.broker import Channel, list_broken
from config.settings import BASE_DIR

BIND = """
import sys, time
from kombu import Connection, Exchange, Queue
folder, name = sys.argv[1:]
options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder + "/control"}
print("ready", flush=True)
sys.stdin.readline()
while True:
    exchange = f"all-{int(time.time() * 100)}"  # a new exchange every hundredth of a second, for all processes
    with Connection(transport="config.server.broker:Transport", transport_options=options) as connection:
        Queue(name, Exchange(exchange, type="fanout"), channel=connection.default_channel).declare()
    print(exchange, flush=True)
"""


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path)


def connect(folder):
    options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": f"{folder}/control"}
    return Connection(transport="config.server.broker:Transport", transport_options=options)


def start_binder(folder, name):
    """Start a process that waits for a line of input and then binds queues until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", BIND, folder, name],
        cwd=BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_processes_killed_while_binding_queues_leave_readable_tables(folder):
    binders = [start_binder(folder, f"process-{number}") for number in range(4)]
    try:
        for process in binders:
            process.stdin.write("go\n")
            process.stdin.flush()
        started = [[process.stdout.readline().strip() for _ in range(20)] for process in binders]
        assert [process.poll() for process in binders] == [None] * 4
    finally:
        for process in binders:
            os.kill(process.pid, signal.SIGKILL)
    bound = {
        process.args[-1]: first + process.stdout.read().split() for process, first in zip(binders, started, strict=True)
    }
    with connect(folder) as connection:
        for name, exchanges in bound.items():
            for exchange in set(exchanges):
                assert name in {row.queue for row in connection.default_channel.get_table(exchange)}


def test_a_queue_is_bound_once_and_unbound_when_it_is_deleted(folder):
    with connect(folder) as connection:
        channel: Channel = connection.default_channel
        first, second = (Queue(name, Exchange("all", type="fanout"), channel=channel) for name in ("first", "second"))
        for queue in (first, second, first):
            queue.declare()
        assert {row.queue for row in channel.get_table("all")} == {"first", "second"}
        assert len(channel.get_table("all")) == 2
        first.delete()
        assert {row.queue for row in channel.get_table("all")} == {"second"}
        assert channel.get_table("never-declared") == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"half a mess",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"[" * 5000,
        b'{"body": "e30=", "properties": {}}',
        b'{"body": 1, "properties": {"delivery_info": {}, "delivery_tag": "1"}}',
    ],
)
def test_a_file_that_isnt_a_message_is_set_aside(folder, caplog, content):
    name = f"tasks-{uuid4().hex}"  # the library remembers what it bound in this process
    path = Path(folder, f"000000000000001_first.{name}.msg")
    with connect(folder) as connection:
        queue = connection.SimpleQueue(name)
        queue.put({"id": 7})
        path.write_bytes(content)
        assert queue.get(timeout=5).payload == {"id": 7}
    assert not path.exists()
    assert [broken.read_bytes() for broken in list_broken(Path(folder))] == [content]
    assert f"{folder}/broken/{path.name} isn't a message" in caplog.text
