"""Who is calling, and what their key may do: what every /v1 door is guarded by.

class CustomerList(ApiDoor, ListAPIView):
    write_scope = Scope.CUSTOMERS_WRITE
"""

from http import HTTPStatus
from typing import Any, ClassVar, cast

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from config.errors import ApiError
from events.keys import Caller, KeyRefused, KeysUnavailable, authenticate
from events.models import Scope

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


class HasScope(BasePermission):
    """Let the key through if it has the scope that the door asks for; 403 names the scope that is missing."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        caller = request.auth
        if not isinstance(caller, Caller):
            return False
        scope = view.scope_for(request) if isinstance(view, ApiDoor) else Scope.ALL
        if not caller.may(scope):
            raise PermissionDenied(f"The API key lacks the scope {scope}.")
        return True


class ApiDoor(APIView):
    """What every view under /v1 is built on: a key, with the scope `read` for reading and `write_scope` for the rest.

    `reading_actions` names a viewset's POST actions that only read, such as a search.
    """

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [HasScope]
    write_scope: ClassVar[Scope] = Scope.ALL
    reading_actions: ClassVar[frozenset[str]] = frozenset({"search"})

    def scope_for(self, request: Request) -> Scope:
        reads = request.method in SAFE_METHODS or getattr(self, "action", None) in self.reading_actions
        return Scope.READ if reads else self.write_scope


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """How the key is described in the OpenAPI schema."""

    target_class = ApiKeyAuthentication
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "x-api-key"}
