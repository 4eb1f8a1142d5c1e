"""What each log line says about the request or task that wrote it, and where errors and traces are sent."""

import logging
from collections.abc import Callable
from typing import Any

from auditlog.cid import get_cid
from celery import current_task, signals
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from config.server.secret_paths import hide_all_secrets
from config.version import VERSION

HEADER = "request_id"  # of a task's message


class ContextFilter(logging.Filter):
    """Add the id of the current request, and the current task and its id, to log lines; a dash outside of both.

    A task's lines have the id of the request that enqueued it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        task, known = current_task, record.__dict__
        known["task"], known["task_id"] = (task.name, task.request.id) if task else (None, None)
        known.setdefault("request_id", get_cid() or (_request_behind(task) if task else None))
        known["context"] = known["request_id"] or known["task_id"] or "-"
        return True


def pass_request_id(headers: dict[str, object], **kwargs: object) -> None:
    """Send the id of the current request, or of the request behind the current task, with a task's message."""
    request_id = get_cid() or (_request_behind(current_task) if current_task else None)
    if request_id:
        headers[HEADER] = request_id


def _request_behind(task: Any) -> str | None:
    """Return the id of the request that enqueued a task. A worker puts a message's headers beside each other."""
    return task.request.get(HEADER) or (task.request.headers or {}).get(HEADER)


def connect() -> None:
    """Pass the ids of requests on to tasks."""
    signals.before_task_publish.connect(pass_request_id, dispatch_uid="log.request_id")


def report_errors() -> None:
    """Report errors to Sentry if SENTRY_DSN is set: without bodies, variables and what identifies people."""
    if not settings.SENTRY_DSN:
        return
    init = _load("sentry_sdk.init", "SENTRY_DSN")
    init(
        dsn=settings.SENTRY_DSN,
        release=VERSION,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=_hide,
        before_send_transaction=_hide,
    )


def _hide(event: Any, hint: Any) -> Any:
    return hide_all_secrets(event)


def start_tracing(name: str) -> None:
    """Call a function of `config.server.tracing` if OTEL_EXPORTER_OTLP_ENDPOINT is set."""
    if settings.TRACING:
        _load(f"config.server.tracing.{name}", "OTEL_EXPORTER_OTLP_ENDPOINT")()


def _load(path: str, setting: str) -> Callable[..., Any]:
    try:
        function: Callable[..., Any] = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"{setting} needs a package that isn't installed: docs/operations.md.") from error
    return function
