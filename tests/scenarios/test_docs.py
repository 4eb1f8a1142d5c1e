"""The examples in docs/api.md run unchanged against a server."""

import ast
import os
import re
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Signal
from threading import Thread
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from config.webhooks.models import WebhookEndpoint
from config.webhooks.names import WebhookEvent
from config.webhooks.posting import sign
from customers.models import Customer, Subscription
from events.access.keys import make_key
from events.ledger.processing import process_batch
from events.models import Event

pytestmark = pytest.mark.django_db(transaction=True)
TEXT = (Path(settings.BASE_DIR) / "docs" / "api.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@contextmanager
def counting():
    """Count incoming events, as a worker does."""
    done = Signal()

    def work():
        while not done.is_set():
            process_batch()
            time.sleep(0.05)
        connection.close()

    worker = Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        done.set()
        worker.join(10)


@pytest.fixture
def environment(live_server):
    return os.environ | {"COUNTINGHOUSE_URL": f"{live_server.url}/v1", "COUNTINGHOUSE_KEY": make_key("Docs")[1]}


def test_the_examples_run(environment, monkeypatch, capsys):
    for _ in range(2):  # the second run changes nothing
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(blocks("sh"))], env=environment, check=True, timeout=60
        )
    assert Customer.objects.get().name == "Acme Ltd"
    for name in ("COUNTINGHOUSE_URL", "COUNTINGHOUSE_KEY"):
        monkeypatch.setenv(name, environment[name])
    namespace: dict[str, Any] = {}
    with counting():
        exec(compile("\n".join(blocks("python")), "docs/api.md", "exec"), namespace)
    printed = capsys.readouterr().out.splitlines()
    # 20 events of 100 tokens: 1,000 × $0.01 + 1,000 × $0.005
    assert printed == [
        "2000 15.00 USD",
        "['acme']",
        "Acme Ltd 1",
        "Count events named “Tokens.used” as “tokens.used” 1",
        "sk_ ['read']",
        "Acme Ltd",
        "none True",
        "0 None None",  # the change log was never verified yet
    ]
    assert Event.objects.count() == 23
    assert Subscription.objects.count() == 1

    body, now = '{"event_type": "invoice.update.payment", "invoice": {"total": "9.00"}}', datetime.now(UTC)
    headers = sign("msg_1", body, [WebhookEndpoint.objects.get().secret], at=now)
    namespace["receive"](body, headers)
    namespace["receive"](body, headers)
    assert capsys.readouterr().out == "invoice.update.payment 9.00\n"


def test_the_python_examples_import_only_documented_packages():
    tree = ast.parse("\n".join(blocks("python")))
    modules = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules == {"flexprice", "httpx", "os", "random", "standardwebhooks.webhooks", "time", "uuid"}


def test_the_docs_list_every_webhook():
    assert [event for event in WebhookEvent.values if f"`{event}`" not in TEXT] == []
