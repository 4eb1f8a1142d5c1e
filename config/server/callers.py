"""Who sends a request, as far as it is known before Django reads it."""

from collections.abc import Mapping
from importlib import import_module
from io import BytesIO
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.core.handlers.wsgi import WSGIRequest
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.settings import api_settings

API_KEY = "HTTP_X_API_KEY"


def name_caller(environ: Mapping[str, Any]) -> str:
    """Return what tells a caller from others: the API key, the session, or else the address. Nothing is checked."""
    if key := environ.get(API_KEY):
        return f"key {key}"
    session = _find_session(environ)
    return f"session {session}" if session else f"address {environ['REMOTE_ADDR']}"


def is_known(environ: Mapping[str, Any]) -> bool:
    """Tell whether the request has a valid API key, or the session of someone signed in. Asks the database."""
    if API_KEY not in environ:
        session = _find_session(environ)
        return bool(session) and SESSION_KEY in import_module(settings.SESSION_ENGINE).SessionStore(session)
    request = Request(WSGIRequest({**environ, "CONTENT_LENGTH": "0", "wsgi.input": BytesIO()}))
    kinds: Any = api_settings.DEFAULT_AUTHENTICATION_CLASSES  # described as the names of the classes
    try:
        return any(kind().authenticate(request) for kind in kinds)
    except APIException:
        return False


def _find_session(environ: Mapping[str, Any]) -> str:
    _, _, rest = environ.get("HTTP_COOKIE", "").partition(f"{settings.SESSION_COOKIE_NAME}=")
    return str(rest.partition(";")[0].strip())
