"""Where a message may be sent: public addresses only, looked up and checked each time, and connected to as checked."""

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from config.refusals import Refused

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST = 1000
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# What `is_global` lets through and nobody's webhooks live at: the gateways from IPv4 to IPv6 of before (RFC 7526), and
# the address at which Azure's virtual machines find their own platform.
REFUSED = tuple(map(ipaddress.ip_network, ("192.88.99.0/24", "168.63.129.16/32")))
LOCAL_NAMES = ("localhost", "local", "internal", "localdomain")


class TargetRefused(Refused):
    """The address isn't one that messages are sent to; the message says why."""


def check_url(url: str) -> SplitResult:
    """Take an address apart. Raises TargetRefused unless it is https:// to a host that isn't plainly a private one.

    Names aren't looked up here: what they resolve to is checked whenever something is sent. The setting
    `WEBHOOK_PRIVATE_TARGETS` also lets http:// and private addresses through.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise TargetRefused("This isn't an address.") from error
    if len(url) > LONGEST or not url.isascii() or not url.isprintable() or any(sign in url for sign in ' "<>\\^`{|}'):
        raise TargetRefused(f"Write the address in at most {LONGEST} plain ASCII characters, without spaces.")
    if not host or parts.scheme not in ("https", "http"):
        raise TargetRefused("Give a whole address, such as https://example.com/hooks.")
    if parts.username is not None or parts.fragment:
        raise TargetRefused("Leave user names, passwords and fragments out of the address.")
    if settings.WEBHOOK_PRIVATE_TARGETS:
        return parts
    if parts.scheme != "https":
        raise TargetRefused("Only https:// addresses are sent to, unless WEBHOOK_PRIVATE_TARGETS is on.")
    literal = _literal(host)
    if literal is not None and not is_public(literal):
        raise TargetRefused(f"{host} is a private address.")
    if literal is None and host.rstrip(".").rpartition(".")[2] in LOCAL_NAMES:
        raise TargetRefused(f"{host} is a name of this machine or network.")
    return parts


def resolve(host: str, port: int) -> list[str]:
    """Look a host up and return its addresses. Raises TargetRefused if there is none, or if any of them is private."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TargetRefused(f"{host} can't be looked up.") from error
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    if not settings.WEBHOOK_PRIVATE_TARGETS:
        for address in addresses:
            if not is_public(ipaddress.ip_address(address)):
                raise TargetRefused(f"{host} resolves to {address}, a private address.")
    return addresses


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the open internet: also when it is an IPv4 address inside an IPv6 one."""
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


def _literal(host: str) -> Address | None:
    """Read a host that is an address; inet_aton's shorthands (0x7f.1, 2130706433) are addresses, too."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None
