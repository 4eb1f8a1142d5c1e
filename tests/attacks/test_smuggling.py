"""Requests that a proxy and the server could divide differently: what follows the first is no request of its own."""

import socket
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.django_db  # asks for the database; the server uses it

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
START = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\n"


def send(base_url, *parts):
    """Send bytes, and return all that the server answers until it closes the connection or falls silent."""
    address, answer = urlsplit(base_url), b""
    with socket.create_connection((address.hostname, address.port), 10) as connection:
        connection.sendall(b"".join(parts))
        connection.settimeout(2)
        try:
            while part := connection.recv(65536):
                answer += part
        except TimeoutError:
            pass  # it waits for more
    return answer


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nContent-Length: 0\r\n",
        b"Content-Length: 5, 0\r\n",
        b"Content-Length: +0\r\n",
        b"Content-Length: 0x0\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length : 0\r\n",
        b"Content-Length: 0\r\nTransfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b" Transfer-Encoding: chunked\r\n",
    ],
)
def test_a_request_whose_length_is_in_doubt_is_refused_and_its_connection_closed(web_server, headers):
    answer = send(web_server, START, headers, b"\r\n", HIDDEN)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501"))
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_request_with_both_lengths_is_the_last_of_its_connection(web_server):
    both = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
    answer = send(web_server, START, both, b"\r\n", b"0\r\n\r\n", HIDDEN)
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("size", [b"-1", b"0x5", b"5_0", b"fffffffffffffffff"])
def test_a_chunk_of_no_size_is_refused(web_server, size):
    answer = send(web_server, START, b"Transfer-Encoding: chunked\r\n\r\n", size, b"\r\n", HIDDEN)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert b"/hidden" not in answer
