"""The base of all API views: API key scopes, idempotent writes, and reading requests."""

import logging
from typing import Any, ClassVar, cast

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from config.api.handlers import as_api_error, unavailable
from config.api.idempotency import HEADER, Answered, Claim, claim
from config.db.text import is_text

logger = logging.getLogger(__name__)

READ, EVERYTHING = "read", "all"


class HasScope(BasePermission):
    """Allow the request if its key has the scope that the view requires; 403 names the missing scope."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        may = getattr(request.auth, "may", None)
        if may is None:
            return False
        scope = view.scope_for(request) if isinstance(view, ApiView) else EVERYTHING
        if not may(scope):
            raise PermissionDenied(f"The API key lacks the scope {scope}.")
        return True


class ApiView(APIView):
    """A view that requires an API key, with the scope `read` for reading and `write_scope` otherwise.

    `is_reading` marks a view whose POST only reads, such as a search. Domain refusals are answered with 400
    `invalid_operation`, invalid model values with 400, and identifiers in use with 409. A write that carries an
    `Idempotency-Key` runs once, unless `is_idempotent` is off. Requests count against the key's rate limit of the
    `limit` kind: single or bulk requests per minute.
    """

    permission_classes = [HasScope]
    write_scope: ClassVar[str] = EVERYTHING
    is_reading: ClassVar[bool] = False
    is_idempotent: ClassVar[bool] = True
    limit: ClassVar[str] = "single"
    claim: Claim | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if HEADER not in request.headers or not self.is_once(request.method):
            return super().dispatch(request, *args, **kwargs)
        try:
            return self._once(request, *args, **kwargs)
        except (OperationalError, InterfaceError) as error:  # as the transaction began or ended
            logger.error("The database couldn't process a request", exc_info=error)
            return unavailable()

    def _once(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with transaction.atomic():
            response = super().dispatch(request, *args, **kwargs)
            if response.status_code >= 400:
                transaction.set_rollback(True)
            elif self.claim is not None and isinstance(response, HttpResponse):
                self.claim.keep(response.render() if isinstance(response, SimpleTemplateResponse) else response)
            return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if HEADER in request.headers and self.is_once(request.method):
            self.claim = claim(request, caller_id=cast(Any, request.auth).key_id)

    @classmethod
    def is_once(cls, method: str | None) -> bool:
        """Tell whether requests with this method take an `Idempotency-Key`."""
        return method not in SAFE_METHODS and cls.is_idempotent and not cls.is_reading

    def scope_for(self, request: Request) -> str:
        return READ if self.is_reading or request.method in SAFE_METHODS else self.write_scope

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, Answered):
            return cast(Response, exc.response)  # any HTTP response will do
        return super().handle_exception(as_api_error(exc))


def read_body(request: Request, serializer: type[BaseSerializer[Any]]) -> dict[str, Any]:
    """Validate a request's body. Unknown fields are ignored; no body is an empty object. 400 if it is invalid."""
    return _validated(serializer(data=request.data or {}))


def read_query(request: Request, serializer: type[BaseSerializer[Any]]) -> dict[str, Any]:
    """Validate a request's query parameters, as `read_body` does a body."""
    return _validated(serializer(data=request.query_params))


def _validated(serializer: BaseSerializer[Any]) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    data: dict[str, Any] = serializer.validated_data
    return data


def get_or_404[Row: Model](rows: QuerySet[Row], noun: str, **lookup: str) -> Row:
    """Return the row with this value. The 404 names the noun and the value: `There is no plan plan_0.`"""
    (value,) = lookup.values()
    row = rows.filter(**lookup).first() if is_text(value) else None
    if row is None:
        raise NotFound(f"There is no {noun} {value if is_text(value) else '(unreadable)'}.")
    return row
