"""Decides where messages may be sent: only to public addresses, looked up and checked before every attempt."""

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from config.refusals import Refused

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST = 1000
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Addresses that `is_global` allows but no webhook receiver uses: the former 6to4 relays (RFC 7526), and the address
# of Azure's platform services inside virtual machines.
REFUSED = tuple(map(ipaddress.ip_network, ("192.88.99.0/24", "168.63.129.16/32")))
LOCAL_NAMES = ("localhost", "local", "internal", "localdomain")


class TargetRefused(Refused):
    """Messages can't be sent to this address; the text says why."""


def check_url(url: str) -> SplitResult:
    """Split an address into its parts. Raises TargetRefused unless it is https:// and the host isn't obviously private.

    Names aren't looked up here: their addresses are checked before every attempt. With the setting
    `WEBHOOK_PRIVATE_TARGETS`, http:// and private addresses are allowed.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise TargetRefused("This isn't a valid address.") from error
    if len(url) > LONGEST or not url.isascii() or not url.isprintable() or any(sign in url for sign in ' "<>\\^`{|}'):
        raise TargetRefused(f"Use at most {LONGEST} ASCII characters, without spaces.")
    if not host or parts.scheme not in ("https", "http"):
        raise TargetRefused("Enter a complete address, such as https://example.com/hooks.")
    if parts.username is not None or parts.fragment:
        raise TargetRefused("Remove the user name, password or fragment from the address.")
    if settings.WEBHOOK_PRIVATE_TARGETS:
        return parts
    if parts.scheme != "https":
        raise TargetRefused("Use an https:// address, or turn on WEBHOOK_PRIVATE_TARGETS.")
    literal = _literal(host)
    if literal is not None and not is_public(literal):
        raise TargetRefused(f"{host} is a private address.")
    if literal is None and host.rstrip(".").rpartition(".")[2] in LOCAL_NAMES:
        raise TargetRefused(f"{host} is a local name.")
    return parts


def resolve(host: str, port: int) -> list[str]:
    """Look up a host and return its addresses. Raises TargetRefused if there are none or if any is private."""
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TargetRefused(f"{host} can't be looked up.") from error
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in entries))
    if not settings.WEBHOOK_PRIVATE_TARGETS:
        for address in addresses:
            if not is_public(ipaddress.ip_address(address)):
                raise TargetRefused(f"{host} resolves to {address}, a private address.")
    return addresses


def is_public(address: Address) -> bool:
    """Return whether an address is on the public internet, also for IPv4 addresses embedded in IPv6 addresses."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    if any(address in network for network in REFUSED):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def host_of(url: str) -> str:
    """Return the host of an address, for texts: its path and query can be secrets. Without a host, it is the path.

    >>> host_of("https://hooks.example/services/T0/secret"), host_of("file:///var/log/changes")
    ('hooks.example', '/var/log/changes')
    """
    parts = urlsplit(url)
    return parts.hostname or parts.path


def _literal(host: str) -> Address | None:
    """Return the address if the host is one, including inet_aton's short forms (0x7f.1, 2130706433)."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None
