"""Where a request comes from and what it is called: forwarded headers of known proxies, and a request id."""

import logging
import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from uuid import uuid4

from auditlog.cid import set_cid
from django.conf import settings
from django.http import HttpRequest, HttpResponse

logger = logging.getLogger(__name__)

Address = IPv4Address | IPv6Address
GetResponse = Callable[[HttpRequest], HttpResponse]

REQUEST_ID = "HTTP_X_REQUEST_ID"
ROUTE = "countinghouse.route"  # in the environment of an answered request
DIRECT = frozenset({"/v1/events", "/v1/events/bulk", "/livez", "/readyz", "/healthz", "/metrics"})  # not resolved
FORWARDED = ("HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED")

is_request_id = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII).fullmatch


class ForwardedMiddleware:
    """Believe forwarded headers only from `TRUSTED_PROXIES`, and remove them from all other requests.

    `REMOTE_ADDR` becomes the address of the client: the last one in X-Forwarded-For that isn't a trusted proxy's.
    Entries before it were written by the client, who can write anything.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.trusted = [ip_network(network) for network in settings.TRUSTED_PROXIES]
        self.warned: set[str] = set()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        peer, chain = request.META.get("REMOTE_ADDR", ""), request.META.pop("HTTP_X_FORWARDED_FOR", "")
        request.META.pop("HTTP_X_FORWARDED_PORT", None)  # the change log would store whatever it says
        if self._is_trusted(address := parse_address(peer)):
            request.META["REMOTE_ADDR"] = str(self._client(address, chain) or peer)
        else:
            self._warn_once(peer, request)
            for name in FORWARDED:
                request.META.pop(name, None)
        return self.get_response(request)

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self.trusted)

    def _client(self, peer: Address | None, chain: str) -> Address | None:
        client = peer
        for entry in reversed(chain.split(",")):
            if (address := parse_address(entry)) is None:
                break
            client = address
            if not self._is_trusted(address):
                break
        return client

    def _warn_once(self, peer: str, request: HttpRequest) -> None:
        if "HTTP_X_FORWARDED_PROTO" in request.META and settings.HTTPS and not self.warned:
            self.warned.add(peer)
            logger.warning(
                "%s sends X-Forwarded-Proto, but isn't a trusted proxy. If it is yours, add it to TRUSTED_PROXIES.",
                peer,
            )


class RequestIdMiddleware:
    """Give each request an id, which is in its log lines, the change log and the answer. Note its route.

    A client can choose the id in the header X-Request-Id: 1 to 64 letters, digits and `._:-`. Others are replaced.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = request.META.get(REQUEST_ID) or request.META.get("HTTP_X_CORRELATION_ID", "")
        if not is_request_id(request_id):
            request_id = uuid4().hex
        request.META[REQUEST_ID] = request_id
        set_cid(request)
        response = self.get_response(request)
        response.headers["X-Request-Id"] = request_id
        request.META[ROUTE] = _route_of(request)
        return response


def _route_of(request: HttpRequest) -> str:
    """Return the route of an answered request: few values, whatever clients ask for."""
    if (match := request.resolver_match) is not None:
        return f"/{match.route}"
    if request.path_info in DIRECT:
        return request.path_info
    return settings.STATIC_URL if request.path_info.startswith(settings.STATIC_URL) else "unmatched"


def parse_address(entry: str) -> Address | None:
    """Return the address of an entry: an address, [IPv6]:port or IPv4:port."""
    text = entry.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return ip_address(text)
    except ValueError:
        return None
