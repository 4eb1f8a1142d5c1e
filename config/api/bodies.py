"""Compressed bodies of requests, within the size limit."""

import gzip
import io
import zlib

from django.http import HttpRequest
from rest_framework.exceptions import ParseError, UnsupportedMediaType

from config.api.errors import PayloadTooLarge
from config.limits import most_body

GZIP = ("gzip", "x-gzip")


def load_body(request: HttpRequest) -> None:
    """Decompress a compressed body into `request.body`; leave any other body to the view.

    Raises PayloadTooLarge if the body is over the size limit of its path before or after decompression; no more than
    the limit is decompressed.
    """
    meta = request.META
    if "HTTP_CONTENT_ENCODING" not in meta:
        return
    encoding = meta.pop("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding not in ("", "identity", *GZIP):
        raise UnsupportedMediaType(encoding, "Send the body as it is, or compressed with gzip.")
    if encoding in GZIP:
        set_body(request, _decompress(request.body, most_body(request.path)))


def set_body(request: HttpRequest, body: bytes) -> None:
    """Replace the request's body."""
    request._body = body
    request._stream = io.BytesIO(body)
    request._read_started = True  # type: ignore[attr-defined]  # as Django does after reading
    request.META["CONTENT_LENGTH"] = str(len(body))


def _decompress(body: bytes, limit: int) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            content = file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ParseError(f"The body can't be decompressed: {error}") from error
    if len(content) > limit:
        raise PayloadTooLarge
    return content
