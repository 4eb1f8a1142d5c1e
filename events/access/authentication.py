"""Authenticate API requests by their key. `config.api.views.HasScope` checks what the key may do."""

from typing import Any, cast

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from config.api.errors import ServiceUnavailable
from events.access.keys import Caller, KeyRefused, KeysUnavailable, authenticate

REFUSED_KEY = "countinghouse.refused_key"  # in the environment of a request: the prefix of its revoked or expired key


class ApiKeyAuthentication(BaseAuthentication):
    """Read the key in the x-api-key header. 401 when it is missing, unknown, revoked or expired."""

    def authenticate(self, request: Request) -> tuple[Caller, Caller]:
        try:
            caller = authenticate(request.META.get("HTTP_X_API_KEY", "").strip(), now=timezone.now())
        except KeyRefused as refusal:
            request.META[REFUSED_KEY] = refusal.prefix
            raise AuthenticationFailed(str(refusal)) from refusal
        except KeysUnavailable as error:
            raise ServiceUnavailable from error
        return caller, caller

    def authenticate_header(self, request: Request) -> str:
        return "x-api-key"


def caller_of(request: Request) -> Caller:
    """Return the caller of a request to a view that requires a key."""
    return cast(Caller, request.auth)


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """How the key is described in the OpenAPI schema."""

    target_class = ApiKeyAuthentication
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "x-api-key"}
