"""Serve the OpenAPI schema, which is built and rendered once per process."""

import hashlib
import threading
from functools import cache
from typing import Any

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.encoding import force_bytes
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from config.api import openapi_fields  # noqa: F401  importing the module registers how fields are described

_building = threading.Lock()


class CompactJson(OpenApiJsonRenderer2):
    """JSON without indentation, which is half as long."""

    def render(self, data: Any, media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return orjson.dumps(data, default=str)


class OpenApiJson(CompactJson):
    media_type = OpenApiJsonRenderer.media_type


class SchemaView(SpectacularAPIView):
    """The schema as JSON, or as YAML if the Accept header or `?format=yaml` says so; 304 if the client has it."""

    renderer_classes = [CompactJson, OpenApiJson, OpenApiYamlRenderer2, OpenApiYamlRenderer]
    content_negotiation_class = DefaultContentNegotiation

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        renderer = request.accepted_renderer
        content, etag = _render_once(type(renderer))
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        response = HttpResponse(content, content_type=renderer.media_type, headers=headers)
        patch_vary_headers(response, ["Accept"])
        return get_conditional_response(request._request, etag=etag, response=response) or response


@cache
def load_schema() -> dict[str, Any]:
    """Build the schema, once per process: it takes seconds. Don't change the result."""
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return schema


def _render_once(renderer: type[BaseRenderer]) -> tuple[bytes, str]:
    """Render the schema once per process and format, together with its ETag."""
    with _building:
        return _render(renderer)  # type: ignore[arg-type]  # classes are hashable


@cache
def _render(renderer: type[BaseRenderer]) -> tuple[bytes, str]:
    content = force_bytes(renderer().render(load_schema(), renderer_context={}))
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'
