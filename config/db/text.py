"""Checks for text that PostgreSQL can store and UTF-8 can encode."""

import re

_lone_surrogates = re.compile("[\ud800-\udfff]")


def is_text(value: str) -> bool:
    """Whether PostgreSQL can store the text, so that a query can contain it."""
    return "\0" not in value and _lone_surrogates.search(value) is None


def writable(value: str) -> str:
    """Replace lone surrogates, which UTF-8 can't encode, with U+FFFD."""
    return _lone_surrogates.sub("\ufffd", value)
