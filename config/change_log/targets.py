"""Where the change log is copied to: a file, a syslog server or a webhook, chosen by a URL."""

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from config.webhooks.posting import post, sign

Entry = dict[str, Any]

TIMEOUT_S = 5
AUDIT_NOTICE = 13 * 8 + 5  # RFC 5424: facility "log audit", severity "notice"
MOST_IN_DATAGRAM = 60_000
SYSLOG_PORT = 514


class CopyFailed(Exception):
    """The target didn't take the entries. They are sent again."""


class Target(Protocol):
    """Takes entries in order, and returns once it has them. Raises `CopyFailed`."""

    def send(self, entries: Sequence[Entry]) -> None: ...


def make_target(url: str, secret: str) -> Target:
    """Return the target of CHANGE_LOG_STREAM. Raises ValueError with a sentence for the operator."""
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and len(parts.path) > 1:
        return FileTarget(Path(unquote(parts.path)))
    if parts.scheme == "syslog+unix" and not parts.netloc and len(parts.path) > 1:
        return DatagramTarget(socket.AF_UNIX, unquote(parts.path))
    if parts.scheme == "syslog+udp" and parts.hostname:
        return DatagramTarget(socket.AF_INET, (parts.hostname, parts.port or SYSLOG_PORT))
    if parts.scheme == "syslog+tcp" and parts.hostname:
        return StreamTarget(parts.hostname, parts.port or SYSLOG_PORT)
    if parts.scheme in ("https", "http") and parts.hostname:
        if not secret:
            raise ValueError("CHANGE_LOG_STREAM is a webhook, so CHANGE_LOG_STREAM_SECRET must be set: whsec_…")
        return WebhookTarget(url, secret)
    raise ValueError(
        "CHANGE_LOG_STREAM isn't an address: use file:///path, syslog+udp://host:514, syslog+tcp://host:601, "
        "syslog+unix:///dev/log or https://host/path."
    )


@dataclass(frozen=True)
class FileTarget:
    """Append a line of JSON for each entry, and wait until the disk has it."""

    path: Path

    def send(self, entries: Sequence[Entry]) -> None:
        lines = "".join(f"{to_json(entry)}\n" for entry in entries).encode()
        try:
            with self.path.open("ab+") as file:
                if ends_within_a_line(file):
                    lines = b"\n" + lines
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise CopyFailed(f"{self.path} can't be written: {error.strerror}") from error


def ends_within_a_line(file: Any) -> bool:
    """Tell whether a write was cut off, for example because the machine stopped."""
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) != b"\n")


@dataclass(frozen=True)
class DatagramTarget:
    """Send a syslog message (RFC 5424) for each entry as a datagram. UDP confirms nothing, so that it can lose entries.

    An entry that doesn't fit into a datagram is sent without its changed values, marked `is_shortened`.
    """

    family: socket.AddressFamily
    address: Any

    def send(self, entries: Sequence[Entry]) -> None:
        try:
            with socket.socket(self.family, socket.SOCK_DGRAM) as sender:
                sender.settimeout(TIMEOUT_S)
                sender.connect(self.address)
                for entry in entries:
                    sender.send(shortened_message(entry))
        except OSError as error:
            raise CopyFailed(f"The syslog server can't be reached: {error}") from error


@dataclass(frozen=True)
class StreamTarget:
    """Send a syslog message (RFC 5424) for each entry over TCP, each after its length (RFC 6587).

    The server has read all of them when it closes the connection, which it does after this side has closed.
    """

    host: str
    port: int

    def send(self, entries: Sequence[Entry]) -> None:
        messages = [syslog_message(entry) for entry in entries]
        content = b"".join(b"%d %b" % (len(message), message) for message in messages)
        try:
            with socket.create_connection((self.host, self.port), TIMEOUT_S) as sender:
                sender.sendall(content)
                sender.shutdown(socket.SHUT_WR)
                while sender.recv(1024):
                    pass
        except OSError as error:
            raise CopyFailed(f"The syslog server can't be reached: {error}") from error


@dataclass(frozen=True)
class WebhookTarget:
    """Post entries as a signed message of Standard Webhooks: `{"entries": […]}`. A status of 2xx confirms them."""

    url: str
    secret: str

    def send(self, entries: Sequence[Entry]) -> None:
        body = f'{{"entries":[{",".join(map(to_json, entries))}]}}'
        message_id = f"changes_{entries[0]['number']}_{entries[-1]['number']}"
        result = post(self.url, body, sign(message_id, body, [self.secret], at=datetime.now(UTC)))
        if not result.is_accepted:
            raise CopyFailed(result.error)


def to_json(entry: Entry) -> str:
    return json.dumps(entry, separators=(",", ":"))


def syslog_message(entry: Entry) -> bytes:
    """Write an entry as a syslog message, with the JSON as its text."""
    host = socket.gethostname()[:255] or "-"
    return f"<{AUDIT_NOTICE}>1 {entry['at']} {host} countinghouse {os.getpid()} change - {to_json(entry)}".encode()


def shortened_message(entry: Entry) -> bytes:
    message = syslog_message(entry)
    return (
        message if len(message) <= MOST_IN_DATAGRAM else syslog_message(entry | {"changes": {}, "is_shortened": True})
    )
