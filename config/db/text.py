"""Check and clean text, so that the database can store it and responses can contain it."""

import re

_lone_surrogates = re.compile("[\ud800-\udfff]")


def is_text(text: str) -> bool:
    """Return whether the database can store the text, and so can be searched for it."""
    return "\0" not in text and _lone_surrogates.search(text) is None


def writable(text: str) -> str:
    """Replace lone surrogates, which UTF-8 can't encode, with U+FFFD."""
    return _lone_surrogates.sub("\ufffd", text)
