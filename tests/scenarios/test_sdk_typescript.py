"""The official TypeScript client, unmodified and with the newest zod, drives the story in tests/node/story.js."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from events.access.keys import make_key
from tests.scenarios.test_docs import counting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
NODE = Path(settings.BASE_DIR) / "tests" / "node"


@pytest.fixture(scope="module")
def node_packages():
    """Install the locked packages, unless `make test` has done so."""
    subprocess.run(["make", "--silent", "tests/node/node_modules/.installed"], cwd=settings.BASE_DIR, check=True)


def test_a_story_from_a_customer_to_a_paid_invoice(live_server, node_packages):
    environment = {"COUNTINGHOUSE_URL": f"{live_server.url}/v1", "COUNTINGHOUSE_KEY": make_key("TypeScript")[1]}
    with counting():
        run = subprocess.run(
            ["node", "story.js"],
            cwd=NODE, env=os.environ | environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
    assert run.returncode == 0, run.stderr[-5000:]
    read: dict[str, Any] = json.loads(run.stdout)
    assert all(read.pop("searches"))
    assert read == {
        "customer": "Acme Ltd",
        "price": "0.5",
        "usage": "12",  # one of them sent twice
        "used": 1,
        "events": 12,
        "preview": "50.00",  # the next month's $49, and 2 calls × $0.50 above the 10 free ones
        "paid": "SUCCEEDED",
        "balance": "30.00",
        "cancelled": "cancelled",
        "refusal": {"status": 404, "message": "There is no plan “none”."},
    }
