"""Who is calling, by the key that they send. What the key may do is asked by `config.doors.ApiDoor`."""

from http import HTTPStatus
from typing import Any, cast

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from config.doors import ApiDoor
from config.errors import ApiError
from events.keys import Caller, KeyRefused, KeysUnavailable, authenticate

__all__ = ["ApiDoor", "ApiKeyAuthentication", "ServiceUnavailable", "caller_of"]

RETRY_AFTER_S = 2


class ServiceUnavailable(ApiError):
    """Say that the database can't be reached just now (503); sending the same again later is right."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "The service can't store anything just now. Send the same request again."
    code = "service_unavailable"
    wait = RETRY_AFTER_S


class ApiKeyAuthentication(BaseAuthentication):
    """Read the key in the x-api-key header. 401 when it is missing, unknown, revoked or expired."""

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
    """Return whom the request's key stands for, behind a door that asks for one."""
    return cast(Caller, request.auth)


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """How the key is described in the OpenAPI schema."""

    target_class = ApiKeyAuthentication
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "x-api-key"}
