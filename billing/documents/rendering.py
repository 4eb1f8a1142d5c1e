"""Render documents as PDF: short ones at once, long ones in a process of their own.

A document of 10,000 lines takes half a minute of all processors. In a process of the lowest priority, it takes only the
time that requests leave.
"""

import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from django.conf import settings

from billing.documents.typesetting import typeset

MOST_ROWS_AT_ONCE = 500  # rows take about 2 ms each
LONGEST_S = 600
COMMAND = (sys.executable, "-m", "billing.documents.typesetting")

_one_at_a_time = threading.Lock()


def render(document: Mapping[str, Any], *, made_at: datetime) -> bytes:
    """Render a document as `typeset` does. Of long ones, each process renders one at a time."""
    if count_rows(document) <= MOST_ROWS_AT_ONCE:
        return typeset(document, made_at=made_at)
    request = orjson.dumps({"document": document, "made_at": made_at.isoformat()})
    with _one_at_a_time:
        done = subprocess.run(
            COMMAND, input=request, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, timeout=LONGEST_S, check=True
        )
    return done.stdout


def count_rows(document: Mapping[str, Any]) -> int:
    """Count the rows of a document's table.

    >>> count_rows({"groups": [{"rows": [1, 2]}, {"rows": [3]}]})
    3
    """
    return sum(len(group["rows"]) for group in document["groups"])
