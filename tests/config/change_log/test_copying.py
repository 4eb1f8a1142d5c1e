"""The change log is copied to a file, a syslog server or a webhook: in order, at least once, whatever is killed."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryDirectory

import pytest
from auditlog.models import LogEntry
from django.conf import settings as django_settings
from django.core.checks import run_checks
from standardwebhooks.webhooks import Webhook

from catalog.models import Feature
from config.audit import recorded
from config.change_log import copying
from config.change_log.copying import copy_entries
from config.change_log.models import ChangeLogCopy, ChangeSeal
from config.change_log.sealing import seal_entries
from config.tasks import seal_change_log
from tests.config.webhooks.receiver import receiving
from tests.factories import make_customer, make_user
from tests.web_server import database_url

pytestmark = pytest.mark.django_db
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
ENTRY = re.compile(rb"\d+ <109>1 (\S+) (\S+) countinghouse (\d+) change - (\{.*?\})(?=\d+ <109>|$)")


@pytest.fixture
def features():
    """Write three entries and chain them."""
    with recorded(by=make_user(email="ada@example.com", first_name="Ada", last_name="Byron"), reason="New product"):
        for name in ("Calls", "Storage", "Seats"):
            Feature.objects.create(name=name, event_name=name, aggregation="count")
    seal_entries()


def names(entries):
    return [entry["object"]["name"] for entry in entries][-3:]


def test_a_file_has_a_line_for_each_entry(features, settings, tmp_path):
    file = tmp_path / "changes.jsonl"
    settings.CHANGE_LOG_STREAM = f"file://{file}"
    assert copy_entries() == LogEntry.objects.count()
    assert copy_entries() == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert names(lines) == ["Calls", "Storage", "Seats"]
    last = lines[-1]
    assert last["actor"] == {"type": "user", "name": "Ada Byron", "email": "ada@example.com"}
    assert (last["action"], last["object"]["type"], last["reason"]) == ("create", "catalog.feature", "New product")
    assert last["changes"]["name"] == [None, "Seats"]
    assert last["hash"] == bytes(ChangeSeal.objects.latest("number").hash).hex()
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))


def test_a_line_that_was_cut_off_is_ended_and_repeated(features, settings, tmp_path):
    file = tmp_path / "changes.jsonl"
    file.write_text('{"number":1,"ha')
    settings.CHANGE_LOG_STREAM = f"file://{file}"
    copy_entries()
    torn, first, *_ = file.read_text().splitlines()
    assert torn == '{"number":1,"ha'
    assert json.loads(first)["number"] == 1


def test_a_target_that_fails_is_tried_again_and_says_why(features, settings, tmp_path):
    folder = tmp_path / "logs"
    settings.CHANGE_LOG_STREAM = f"file://{folder}/changes.jsonl"
    assert seal_change_log() == 0
    copy = ChangeLogCopy.objects.get()
    assert (copy.number, copy.error) == (0, f"{folder}/changes.jsonl can't be written: No such file or directory")
    folder.mkdir()
    assert copy_entries() == LogEntry.objects.count()
    copy.refresh_from_db()
    assert (copy.number, copy.error) == (LogEntry.objects.count(), "")


def test_a_webhook_gets_signed_batches_in_order(features, settings, monkeypatch):
    monkeypatch.setattr(copying, "AT_ONCE", 2)
    settings.WEBHOOK_PRIVATE_TARGETS = True
    settings.CHANGE_LOG_STREAM_SECRET = SECRET
    with receiving() as receiver:
        settings.CHANGE_LOG_STREAM = receiver.url
        receiver.statuses = [500, 200]
        assert copy_entries() == 0
        assert ChangeLogCopy.objects.get().error == "HTTP 500"
        copy_entries()
    messages = [Webhook(SECRET).verify(request.body, request.headers) for request in receiver.received]
    assert messages[0] == messages[1]
    entries = [entry for message in messages[1:] for entry in message["entries"]]
    assert [entry["number"] for entry in entries] == list(range(1, LogEntry.objects.count() + 1))


@pytest.mark.parametrize("kind", ["udp", "unix"])
def test_a_syslog_server_gets_datagrams(features, settings, kind):
    with (
        TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET, socket.SOCK_DGRAM) as server,
    ):
        server.settimeout(10)
        if kind == "unix":
            server.bind(f"{folder}/log")
            settings.CHANGE_LOG_STREAM = f"syslog+unix://{folder}/log"
        else:
            server.bind(("127.0.0.1", 0))
            settings.CHANGE_LOG_STREAM = f"syslog+udp://127.0.0.1:{server.getsockname()[1]}"
        with ThreadPoolExecutor(1) as pool:  # a socket of this machine holds ten messages only
            count = LogEntry.objects.count()
            reading = pool.submit(lambda: [server.recv(65536) for _ in range(count)])
            copy_entries()
            messages = reading.result()
    header, _, text = messages[-1].partition(b" change - ")
    assert re.fullmatch(rb"<109>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \S+ countinghouse \d+", header)
    assert json.loads(text)["object"]["name"] == "Seats"


def test_an_entry_too_large_for_a_datagram_is_sent_without_its_values(settings):
    make_customer(metadata={"note": "x" * 70_000})
    seal_entries()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(10)
        server.bind(("127.0.0.1", 0))
        settings.CHANGE_LOG_STREAM = f"syslog+udp://127.0.0.1:{server.getsockname()[1]}"
        count = copy_entries()
        messages = [server.recv(65536) for _ in range(count)]
    entry = json.loads(messages[-1].partition(b" change - ")[2])
    assert (entry["is_shortened"], entry["changes"]) == (True, {})


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("changes.jsonl", "isn't an address"), ("file://relative", "isn't an address"),
        ("syslog+tcp://", "isn't an address"),
        ("ftp://example.com/x", "isn't an address"),
        ("https://example.com/hook", "CHANGE_LOG_STREAM_SECRET must be set"),
    ],
)  # fmt: skip
def test_a_malformed_address_fails_the_system_check(settings, url, problem):
    settings.CHANGE_LOG_STREAM = url
    (error,) = [message for message in run_checks() if message.id == "config.E002"]
    assert problem in error.msg


@pytest.mark.django_db(transaction=True)
def test_nothing_is_lost_or_reordered_when_the_process_is_killed(settings):
    """A server kills the process while it reads the second batch, before the process knows that it arrived."""
    for number in range(450):
        make_customer(external_id=f"customer-{number}")
    total = seal_entries()
    received: list[bytes] = []
    killed = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve():
            while len(received) < 1 or numbers_in(b"".join(received))[-1] < total:
                link, _ = server.accept()
                content = b"".join(iter(lambda: link.recv(65536), b""))  # noqa: B023  called before the next link
                received.append(content)
                if len(received) == 2:
                    copier.kill()
                    copier.wait()
                    killed.set()
                link.close()

        thread = threading.Thread(target=serve, daemon=True)
        copier = start_copier(port)
        thread.start()
        assert killed.wait(60)
        assert start_copier(port).wait(60) == 0
        thread.join(20)
    numbers = numbers_in(b"".join(received))
    assert numbers == [*range(1, 401), *range(201, total + 1)]


def start_copier(port):
    command = "import django; django.setup(); from config.change_log.copying import copy_entries; copy_entries()"
    environment = os.environ | {
        "DATABASE_URL": database_url(),
        "CHANGE_LOG_STREAM": f"syslog+tcp://127.0.0.1:{port}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    return subprocess.Popen([sys.executable, "-c", command], env=environment, cwd=django_settings.BASE_DIR)


def numbers_in(content):
    return [json.loads(match[4])["number"] for match in ENTRY.finditer(content)]
