"""Check webhook addresses: messages go only to public addresses, which are resolved and checked at every attempt."""

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from config.refusals import Refused

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST = 1000
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Addresses that `is_global` allows although no webhook receiver uses them: the deprecated gateways from IPv4 to IPv6
# (RFC 7526), and the address of the platform inside Azure's virtual machines.
REFUSED_NETWORKS = tuple(map(ipaddress.ip_network, ("192.88.99.0/24", "168.63.129.16/32")))
LOCAL_NAMES = ("localhost", "local", "internal", "localdomain")


class TargetRefused(Refused):
    """No messages can be sent to the address. The error message says why."""


def check_url(url: str) -> SplitResult:
    """Parse an address. Raises TargetRefused unless it is https:// and its host isn't obviously private.

    Host names aren't resolved here. Their IP addresses are checked whenever a message is sent. The setting
    `WEBHOOK_PRIVATE_TARGETS` also allows http:// and private addresses.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise TargetRefused("Enter a valid address.") from error
    if (
        len(url) > LONGEST
        or not url.isascii()
        or not url.isprintable()
        or any(character in url for character in ' "<>\\^`{|}')
    ):
        raise TargetRefused(f"Enter an address of at most {LONGEST} ASCII characters, without spaces.")
    if not host or parts.scheme not in ("https", "http"):
        raise TargetRefused("Enter a complete address, such as https://example.com/hooks.")
    if parts.username is not None or parts.fragment:
        raise TargetRefused("The address can't contain a user name, a password or a fragment.")
    if settings.WEBHOOK_PRIVATE_TARGETS:
        return parts
    if parts.scheme != "https":
        raise TargetRefused("Enter an https:// address. Other addresses need the setting WEBHOOK_PRIVATE_TARGETS.")
    literal = _parse_ip_address(host)
    if literal is not None and not is_public(literal):
        raise TargetRefused(f"{host} is a private address.")
    if literal is None and host.rstrip(".").rpartition(".")[2] in LOCAL_NAMES:
        raise TargetRefused(f"{host} is a name in the local network.")
    return parts


def resolve(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host. Raises TargetRefused if it has none, or if one of them is private."""
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TargetRefused(f"{host} can't be resolved.") from error
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in entries))
    if not settings.WEBHOOK_PRIVATE_TARGETS:
        for address in addresses:
            if not is_public(ipaddress.ip_address(address)):
                raise TargetRefused(f"{host} resolves to {address}, a private address.")
    return addresses


def is_public(address: Address) -> bool:
    """Return whether an IP address is public. An IPv4 address inside an IPv6 address is checked too."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    if any(address in network for network in REFUSED_NETWORKS):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _parse_ip_address(host: str) -> Address | None:
    """Return the IP address if the host is one, including inet_aton's shorthands (0x7f.1, 2130706433)."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None
