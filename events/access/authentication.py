"""Authenticate API requests by their key. `config.api.views.ApiView` checks the key's scopes."""

from typing import Any, cast

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from config.api.errors import ServiceUnavailable, TooManyRequests
from events.access import limits
from events.access.keys import Caller, KeyRefused, KeysUnavailable, authenticate


class ApiKeyAuthentication(BaseAuthentication):
    """Read the key from the x-api-key header. 401 if it is missing, unknown, revoked or expired."""

    def authenticate(self, request: Request) -> tuple[Caller, Caller]:
        try:
            caller = authenticate(request.META.get("HTTP_X_API_KEY", "").strip(), now=timezone.now())
        except KeyRefused as refusal:
            raise AuthenticationFailed(str(refusal)) from refusal
        except KeysUnavailable as error:
            raise ServiceUnavailable from error
        return caller, caller

    def authenticate_header(self, request: Request) -> str:
        return "x-api-key"


def caller_of(request: Request) -> Caller:
    """Return the caller of a request whose view requires a key."""
    return cast(Caller, request.auth)


def spend_request(request: Request, kind: str) -> None:
    """Count a request against its key's limit of this kind. Raises TooManyRequests, which counts nothing."""
    try:
        limits.spend(caller_of(request), limits.Kind(kind))
    except limits.RateLimited as error:
        headers = {
            "X-RateLimit-Limit": str(error.limit),
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(error.reset_at),
        }
        message = f"The API key may send {error.limit} {error.kind} requests a minute. Wait as Retry-After says."
        raise TooManyRequests(message, wait=error.retry_after_s, headers=headers) from error


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """The description of the key in the OpenAPI schema."""

    target_class = ApiKeyAuthentication
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "x-api-key"}
