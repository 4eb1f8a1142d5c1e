"""What every door under /v1 is built on: the key and its scope, a body that is read, and refusals in one form."""

import logging
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar, cast

from django.core.exceptions import NON_FIELD_ERRORS
from django.core.exceptions import ValidationError as ModelInvalid
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.utils.module_loading import import_string
from psycopg.errors import UniqueViolation
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.exceptions import ValidationError as BodyInvalid
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from config.api.errors import AlreadyExists, InvalidOperation, InvalidRequest, ServiceUnavailable, unavailable
from config.api.idempotency import HEADER, Answered, Claim, claim
from config.db.text import is_text
from config.refusals import Refused

logger = logging.getLogger(__name__)

AUTHENTICATION = "events.access.authentication.ApiKeyAuthentication"  # by name: the apps below events have doors, too
LIMITER = "events.access.authentication.spend_request"
READ, EVERYTHING = "read", "all"


class HasScope(BasePermission):
    """Let the key through if it has the scope that the door asks for; 403 names the scope that is missing."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        may = getattr(request.auth, "may", None)
        if may is None:
            return False
        scope = view.scope_for(request) if isinstance(view, ApiView) else EVERYTHING
        if not may(scope):
            raise PermissionDenied(f"The API key lacks the scope {scope}.")
        return True


class ApiView(APIView):
    """A view behind a key, with the scope `read` for reading and `write_scope` for the rest.

    `is_reading` marks a door whose POST only reads, such as a search. What the domain refuses is answered 400
    `invalid_operation`, a model's own validation 400, and a name that is taken 409. A write that carries an
    `Idempotency-Key` is carried out once, unless `is_idempotent` is off. Every request is counted against the key's
    `limit`: singles or bulks a minute.
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
            logger.error("The database couldn't carry a request out", exc_info=error)
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
        """Tell whether an `Idempotency-Key` has a meaning for this method."""
        return method not in SAFE_METHODS and cls.is_idempotent and not cls.is_reading

    def check_throttles(self, request: Request) -> None:
        _spend()(request, self.limit)

    def get_authenticators(self) -> list[BaseAuthentication]:
        return [_authentication()()]

    def scope_for(self, request: Request) -> str:
        return READ if self.is_reading or request.method in SAFE_METHODS else self.write_scope

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, Answered):
            return cast(Response, exc.response)  # whatever answers HTTP will do
        return super().handle_exception(as_api_error(exc))


@cache
def _authentication() -> type[BaseAuthentication]:
    get_or_404: type[BaseAuthentication] = import_string(AUTHENTICATION)
    return get_or_404


@cache
def _spend() -> Callable[[Request, str], None]:
    get_or_404: Callable[[Request, str], None] = import_string(LIMITER)
    return get_or_404


def as_api_error(exc: Exception) -> Exception:
    """Turn what the domain, a model or the database refused into what the API answers; others stay as they are."""
    if isinstance(exc, Refused):
        return InvalidOperation(str(exc))
    if isinstance(exc, ModelInvalid):
        return _of_model(exc)
    if isinstance(exc, BodyInvalid):
        return invalid(flat(exc.detail))
    if isinstance(exc, IntegrityError) and isinstance(exc.__cause__, UniqueViolation):
        return AlreadyExists("Something with this identifier was made meanwhile.")
    if isinstance(exc, (OperationalError, InterfaceError)):
        logger.error("The database couldn't carry a request out", exc_info=exc)
        return ServiceUnavailable()
    return exc


def _of_model(exc: ModelInvalid) -> Exception:
    if not hasattr(exc, "error_dict"):
        return invalid({"non_field_errors": exc.messages})
    taken = {
        name: [message for error in errors for message in error.messages]
        for name, errors in exc.error_dict.items()
        if any(error.code in ("unique", "unique_together") for error in errors)
    }
    if taken:
        return AlreadyExists(next(iter(taken.values()))[0], taken)
    return invalid({("non_field_errors" if k == NON_FIELD_ERRORS else k): v for k, v in exc.message_dict.items()})


def invalid(details: Mapping[str, list[str]]) -> InvalidRequest:
    """Make the 400 that names the first wrong field in its message and all of them in its details."""
    field, reasons = next(iter(details.items()), ("", [""]))
    where = "" if field == "non_field_errors" else f"{field}: "
    return InvalidRequest(f"Request validation failed: {where}{reasons[0]}", dict(details))


def flat(detail: Any, path: str = "") -> dict[str, list[str]]:
    """Bring nested reasons into one object: `{"tiers[0].up_to": ["…"]}`."""
    if isinstance(detail, Mapping):
        parts = [flat(inner, _joined(path, name)) for name, inner in detail.items()]
    elif isinstance(detail, list) and any(isinstance(inner, (Mapping, list)) for inner in detail):
        parts = [flat(inner, f"{path}[{index}]") for index, inner in enumerate(detail) if inner]
    else:
        reasons = detail if isinstance(detail, list) else [detail]
        return {path or "non_field_errors": [str(reason) for reason in reasons]}
    return {name: reasons for part in parts for name, reasons in part.items()}


def _joined(path: str, name: str | int) -> str:
    if isinstance(name, int):
        return f"{path}[{name}]"
    if name == "non_field_errors":
        return path or name
    return f"{path}.{name}" if path else name


def read_body(request: Request, serializer: type[BaseSerializer[Any]], **options: Any) -> dict[str, Any]:
    """Read a request's body. Fields that aren't known are ignored; none at all is an empty object. 400 if malformed."""
    reader = serializer(data=request.data or {}, **options)
    reader.is_valid(raise_exception=True)
    read: dict[str, Any] = reader.validated_data
    return read


def read_query(request: Request, serializer: type[BaseSerializer[Any]]) -> dict[str, Any]:
    """Read a request's query parameters, as `event_body` does a body."""
    reader = serializer(data=request.query_params)
    reader.is_valid(raise_exception=True)
    read: dict[str, Any] = reader.validated_data
    return read


def get_or_404[Row: Model](rows: QuerySet[Row], what: str, **wanted: str) -> Row:
    """Return the one row that is wanted. 404 names what there is none of."""
    (given,) = wanted.values()
    row = None if not is_text(given) else rows.filter(**wanted).first()
    if row is None:
        raise NotFound(f"There is no {what} {given if is_text(given) else '(unreadable)'}.")
    return row
