"""What a text may hold, so that the database keeps it and answers can be written."""

import re

_lone_surrogates = re.compile("[\ud800-\udfff]")


def is_text(given: str) -> bool:
    """Tell whether the database can keep the text, so can be asked for it."""
    return "\0" not in given and _lone_surrogates.search(given) is None


def writable(given: str) -> str:
    """Write U+FFFD for every half of a surrogate pair, which UTF-8 has no bytes for. The rest stays as it is."""
    return _lone_surrogates.sub("\ufffd", given)
