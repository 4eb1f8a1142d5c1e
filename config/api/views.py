"""The base of all API views: API key scopes, idempotent writes, and reading requests."""

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.utils import timezone
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from config.api.bodies import load_body
from config.api.errors import flat, invalid
from config.api.handlers import as_api_error, unavailable
from config.api.idempotency import HEADER, Answered, Claim, check_body_key, claim
from config.api.unknown_names import Names, refused_fields, refused_names
from config.approvals.gate import ApprovalNeeded
from config.approvals.models import Approval
from config.approvals.people import act_with_key, acting_with_key
from config.approvals.requests import request_approval
from config.approvals.serializers import ApprovalOut
from config.audit import name_key, recorded_by_key
from config.db.text import is_text
from config.refusals import Refused

logger = logging.getLogger(__name__)

READ, EVERYTHING = "read", "all"


class HasScope(BasePermission):
    """Allow the request if its key has the scope that the view requires; 403 names the missing scope."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not hasattr(request.auth, "may"):
            return False
        require_scope(request, view.scope_for(request) if isinstance(view, ApiView) else EVERYTHING)
        return True


def require_scope(request: Request, scope: str) -> None:
    """Refuse the request (403) unless its key has the scope."""
    if not cast(Any, request.auth).may(scope):
        raise PermissionDenied(f"The API key lacks the scope {scope}.")


class ApiView(APIView):
    """A view that requires an API key, with the scope `read` for reading and `write_scope` otherwise.

    `is_reading` marks a view whose POST only reads, such as a search. Domain refusals are answered with 400
    `invalid_operation`, invalid model values with 400, and identifiers in use with 409. A write that carries an
    `Idempotency-Key` runs once, unless `is_idempotent` is off. Requests count against the key's rate limit of the
    `limit` kind: single or bulk requests per minute. `shown_once` names the field of an answer that is a secret: a
    repeated request with the same `Idempotency-Key` answers null there. No cache may store answers.
    """

    permission_classes = [HasScope]
    write_scope: ClassVar[str] = EVERYTHING
    is_reading: ClassVar[bool] = False
    is_idempotent: ClassVar[bool] = True
    limit: ClassVar[str] = "single"
    shown_once: ClassVar[str] = ""
    claim: Claim | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with recorded_by_key(), acting_with_key():
            return self._dispatch(request, *args, **kwargs)

    def _dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        is_keyed = HEADER in request.headers or self._reads_key(request.method)
        if not is_keyed or not self.is_once(request.method):
            return super().dispatch(request, *args, **kwargs)
        try:
            return self._once(request, *args, **kwargs)
        except (OperationalError, InterfaceError) as error:  # as the transaction began or ended
            logger.error("The database couldn't process a request", exc_info=error)
            return unavailable(error, request.path)

    def _once(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with transaction.atomic():
            response = super().dispatch(request, *args, **kwargs)
            if response.status_code >= 400:
                transaction.set_rollback(True)
            elif self.claim is not None and isinstance(response, HttpResponse):
                rendered = response.render() if isinstance(response, SimpleTemplateResponse) else response
                self.claim.keep(self._answer_to_keep(rendered))
            return response

    def _answer_to_keep(self, response: HttpResponse) -> HttpResponse:
        """Return the answer to store for repeated requests with the same key, without secrets."""
        body = json.loads(response.content) if self.shown_once and response.content else {}
        if self.shown_once not in body:
            return response
        content = json.dumps(body | {self.shown_once: None})
        return HttpResponse(content, status=response.status_code, content_type=response.headers["Content-Type"])

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        answer = super().finalize_response(request, response, *args, **kwargs)
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        name_key(str(request.auth))
        act_with_key(cast(Any, request.auth))
        load_body(request._request)
        self._refuse_unknown_names(request)
        if HEADER in request.headers and self.is_once(request.method):
            self.claim = claim(request, caller_id=cast(Any, request.auth).family_id)
        if self._reads_key(request.method):
            check_body_key(request)

    def _reads_key(self, method: str | None) -> bool:
        reads = getattr(getattr(self, str(method).lower(), None), "reads", None)
        return reads is not None and reads.has_key

    def _refuse_unknown_names(self, request: Request) -> None:
        reads = getattr(getattr(self, str(request.method).lower(), None), "reads", None)
        if reads is None:  # OPTIONS, or the ingest of events, which has its own rules
            return
        refused = refused_names(reads.query, request.query_params.items())
        if reads.body is not None and request.method not in SAFE_METHODS:
            refused |= _refused_in_body(request, reads.body)
        if refused:
            raise invalid(refused)

    @classmethod
    def is_once(cls, method: str | None) -> bool:
        """Tell whether requests with this method take an `Idempotency-Key`."""
        return method not in SAFE_METHODS and cls.is_idempotent and not cls.is_reading

    def scope_for(self, request: Request) -> str:
        return READ if self.is_reading or request.method in SAFE_METHODS else self.write_scope

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, Answered):
            return cast(Response, exc.response)  # any HTTP response will do
        if isinstance(exc, ApprovalNeeded):
            try:
                return waiting_response(request_approval(exc, now=timezone.now()))
            except Refused as refusal:
                return self.handle_exception(refusal)
        return super().handle_exception(as_api_error(exc))


def waiting_response(approval: Approval) -> Response:
    """Answer 202 with a request for approval."""
    return Response(ApprovalOut(approval).data, status=202)


def _refused_in_body(request: Request, names: Names) -> dict[str, list[str]]:
    body = request.data or {}
    if not isinstance(body, Mapping):
        return {"body": ["Send a JSON object."]}
    return refused_names(names, body.items())


def read_body(request: Request, serializer: type[BaseSerializer[Any]]) -> dict[str, Any]:
    """Validate a request's body; no body is an empty object. 400 if it is invalid or has unknown fields."""
    return _validated(serializer, request.data or {})


def read_query(request: Request, serializer: type[BaseSerializer[Any]]) -> dict[str, Any]:
    """Validate a request's query parameters, as `read_body` does a body."""
    return _validated(serializer, request.query_params)


def _validated(serializer: type[BaseSerializer[Any]], sent: Any) -> dict[str, Any]:
    reader = serializer(data=sent)
    refused = refused_fields(reader, sent)
    if not reader.is_valid():
        refused |= flat(reader.errors)
    if refused:
        raise invalid(refused)
    data: dict[str, Any] = reader.validated_data
    return data


def get_all_or_404[Row: Model](rows: QuerySet[Row], noun: str, ids: Iterable[str]) -> dict[str, Row]:
    """Return the rows with these public ids, by id, in one query. The 404 names the first that doesn't exist."""
    wanted = list(dict.fromkeys(ids))
    found: dict[str, Row] = {getattr(row, "public_id"): row for row in rows.filter(public_id__in=wanted)}  # noqa: B009
    for public_id in wanted:
        if public_id not in found:
            raise NotFound(f"There is no {noun} “{public_id}”.")
    return found


def get_or_404[Row: Model](rows: QuerySet[Row], noun: str, **lookup: str) -> Row:
    """Return the row with this value. The 404 names the noun and the value: `There is no plan “plan_0”.`"""
    (value,) = lookup.values()
    row = rows.filter(**lookup).first() if is_text(value) else None
    if row is None:
        raise NotFound(f"There is no {noun} “{value}”." if is_text(value) else f"There is no such {noun}.")
    return row
