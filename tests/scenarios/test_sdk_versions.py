"""Every published version of the official client from 2.0.1 on: catalog, subscription, events, invoices, payment.

`make test-clients` runs it. Each version is installed with pip into a temporary virtual environment. A version that
can't be installed fails.
"""

import re
import subprocess
import sys
import venv
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from billing.runs.billing_run import run_to_end
from events.access.keys import make_key
from events.ledger.processing import process_batch

pytestmark = [pytest.mark.slow, pytest.mark.clients, pytest.mark.django_db(transaction=True)]
STORY = Path(__file__).with_name("sdk_version_story.py")
FIRST = (2, 0, 1)
WORK: dict[str, Callable[[], object]] = {
    "count": process_batch,
    "bill": lambda: run_to_end(as_of=datetime.now(UTC)),
}


def test_every_version_of_the_client_sells_sends_events_and_is_paid(
    live_server: Any, subtests: pytest.Subtests, tmp_path: Path
) -> None:
    _, key = make_key("Shop")
    versions = list_versions()
    assert versions[0] == "2.0.1"
    for version in versions:
        with subtests.test(version=version):
            python = install(version, tmp_path / version)
            tell_story(python, f"{live_server.url}/v1", key, f"acme-{version}")


def list_versions() -> list[str]:
    """Return the published versions from 2.0.1 on, oldest first."""
    output = run_pip("index", "versions", "flexprice")
    line = re.search(r"Available versions: (.+)", output)
    assert line, output
    numbers = sorted(tuple(map(int, version.split("."))) for version in line[1].split(", "))
    return [".".join(map(str, version)) for version in numbers if version >= FIRST]


def install(version: str, folder: Path) -> Path:
    """Create a virtual environment with a version of the client, and return its interpreter."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    run_pip("--python", str(python), "install", "--quiet", "--no-compile", f"flexprice=={version}")
    return python


def run_pip(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout


def tell_story(python: Path, url: str, key: str, customer: str) -> None:
    """Run the story in the client's environment, and the server's work where the story waits for it."""
    command = [str(python), str(STORY), url, key, customer]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        done = []
        for line in process.stdout:
            WORK[line.strip()]()
            done.append(line.strip())
            process.stdin.write("\n")
            process.stdin.flush()
        errors = process.stderr.read()
    assert not process.returncode, errors[-3000:]
    assert done == list(WORK)
