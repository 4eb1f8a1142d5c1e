"""Addresses as logs, errors and traces may show them: without the secrets of some, and on one line."""

import logging
import re
from typing import Any
from urllib.parse import quote

# What follows is the token of a link, which sets a password or opens a document. The address can also be incomplete.
SECRET = re.compile(r"(/(?:set-password|documents))[/%][^\s?#]*", re.IGNORECASE)
UNCHANGED = "/:@!$&'()*+,;=~-._"


def hide_secrets(text: str) -> str:
    """Replace the secrets of addresses in a text.

    >>> hide_secrets("Not Found: /set-password/MQ/c7-9f")
    'Not Found: /set-password/…'
    """
    return SECRET.sub(r"\1/…", text)


def hide_all_secrets(value: Any) -> Any:
    """Replace the secrets of addresses in all texts of a JSON value."""
    if isinstance(value, str):
        return hide_secrets(value)
    if isinstance(value, dict):
        return {key: hide_all_secrets(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(hide_all_secrets(inner) for inner in value)
    return value


def show_path(path_info: str) -> str:
    r"""Return the path of a WSGI environment, percent-encoded: a line break in it must not begin a line of the log.

    >>> show_path("/a\n2026-01-01 INFO all is well")
    '/a%0A2026-01-01%20INFO%20all%20is%20well'
    """
    return hide_secrets(quote(path_info.encode("latin-1", "replace"), safe=UNCHANGED))


class SecretsFilter(logging.Filter):
    """Hide the secrets of addresses in what Django logs about requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.") and isinstance(record.args, tuple):
            record.args = hide_all_secrets(record.args)
        return True
