"""How much one request may contain. More is refused with 400 or 413, which name the field and the limit."""

from django.conf import settings

MOST_FILTERED = 20  # properties in one filter
MOST_ITEMS = 500  # of an invoice or a credit note in one request
MOST_GROUPS = 1_000  # of usage by property
MOST_POINTS = 20_000  # of usage by group and window
MOST_WINDOWS_OF_GROUPS = 4_000  # of all features, each with a statement of its own
MOST_METADATA, LONGEST_METADATA_KEY, LONGEST_METADATA = 50, 100, 500  # keys, and their lengths

MIB = 1024 * 1024
GIB = 1024 * MIB
MOST_BODY = MIB
MOST_UPLOAD = 10 * MIB
BATCHES_OF_EVENTS = "/v1/events/bulk"
BANK_FILES = "/v1/bank-imports"
UPLOADS = "/import/"  # the end of the addresses of import pages of the admin


def most_body(path: str) -> int:
    """Return how many bytes the body of a request to this path may have, also after decompression."""
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or MOST_UPLOAD
    if path == BATCHES_OF_EVENTS:
        return most
    is_upload = path == BANK_FILES or (path.startswith("/admin/") and path.endswith(UPLOADS))
    return MOST_UPLOAD if is_upload else min(MOST_BODY, most)
