"""Log lines name the request and the task; the access log leaves secrets out; errors go to Sentry if it is set."""

import json
import logging
import re
from collections.abc import Iterator
from logging.config import DictConfigurator
from typing import Any

import pytest
import sentry_sdk
from auditlog.cid import set_cid
from celery import shared_task
from django.test import Client
from django.urls import get_resolver
from pytest_django import Settings

from config.server.log import ContextFilter, pass_request_id, report_errors
from config.server.observing import Observer
from config.server.requests import REQUEST_ID, ROUTE
from config.server.secret_paths import SecretsFilter, hide_secrets

logger = logging.getLogger("tests.log")


@shared_task(name="tests.log.say")
def say(text: str) -> None:
    logger.warning(text)


@pytest.fixture
def lines(settings: Settings, caplog: pytest.LogCaptureFixture) -> Any:
    """Return a function that returns the lines so far as JSON."""
    configurator: Any = DictConfigurator(settings.LOGGING)
    formatter = configurator.configure_formatter(dict(settings.LOGGING["formatters"]["json"]))
    caplog.handler.addFilter(ContextFilter())
    caplog.set_level(logging.INFO)
    yield lambda: [json.loads(formatter.format(record)) for record in caplog.records]
    set_cid(None)


class Request:
    headers = {"x-request-id": "import-7"}
    META = {"HTTP_X_REQUEST_ID": "import-7"}


def test_a_line_of_a_request_has_its_id_and_what_was_added(lines: Any):
    set_cid(Request())
    logger.info("Saved %s", 3, extra={"customer": "acme"})
    (line,) = lines()
    assert line.pop("time")[:2] == "20"
    assert line == {
        "level": "INFO", "logger": "tests.log", "message": "Saved 3", "request_id": "import-7", "task": None,
        "task_id": None, "customer": "acme",
    }  # fmt: skip


def test_a_line_of_an_error_has_the_traceback(lines: Any):
    try:
        raise ValueError("no such plan")
    except ValueError:
        logger.exception("It failed")
    assert "ValueError: no such plan" in lines()[0]["exc_info"]


@pytest.mark.django_db
def test_a_line_of_a_task_has_its_id_and_the_request_that_enqueued_it(lines: Any):
    set_cid(Request())
    headers: dict[str, object] = {}
    pass_request_id(headers)
    set_cid(None)
    say.apply(["hello"], task_id="task-1", headers=headers)
    line = next(line for line in lines() if line["message"] == "hello")
    assert (line["task"], line["task_id"]) == ("tests.log.say", "task-1")
    assert line["request_id"] == "import-7"


ENVIRON = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/v1/documents/eyJpbnZvaWNlIjoiaW52XzEi",
    "QUERY_STRING": "search=Anna",
    "REMOTE_ADDR": "203.0.113.9",
    "HTTP_X_API_KEY": "sk_abcdefghi-and-the-secret-rest",
    ROUTE: "/v1/documents/<str:token>",
    REQUEST_ID: "import-7",
}


def test_the_access_log_has_no_secret_of_an_address_or_key(lines: Any, settings: Settings):
    settings.ACCESS_LOG = True
    Observer().note(ENVIRON, 200, 0.01234)
    (line,) = lines()
    assert (line["logger"], line["message"]) == ("countinghouse.access", "GET /v1/documents/… 200")
    assert (line["duration_ms"], line["address"], line["request_id"]) == (12.3, "203.0.113.9", "import-7")
    assert line["api_key"] == "sk_abcdefghi"
    assert "Anna" not in json.dumps(line)
    assert "secret" not in json.dumps(line)


def test_nothing_is_noted_by_default(lines: Any):
    observer = Observer()
    observer.note(ENVIRON, 200, 0.01)
    assert (lines(), observer._series) == ([], {})


def test_errors_go_to_sentry_without_what_is_private(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(sentry_sdk, "init", lambda **options: calls.append(options))
    report_errors()
    assert calls == []
    settings.SENTRY_DSN = "https://key@sentry.example/1"
    report_errors()
    (options,) = calls
    assert options["dsn"] == "https://key@sentry.example/1"
    assert (options["send_default_pii"], options["include_local_variables"]) == (False, False)
    assert options["max_request_body_size"] == "never"


def note(path: str, **environ: str) -> None:
    """Note a request that the front refused, so that Django hasn't found its route."""
    values = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "REMOTE_ADDR": "203.0.113.9"}
    Observer().note(values | environ, 413, 0.01)


SECRET_ADDRESSES = [
    "/set-password/MQ/c7f2-9e0b/",
    "/set-password/MQ/c7f2-9e0b",  # the last slash was lost
    "/set-password/c7f2-9e0b",
    "/admin//set-password/MQ/c7f2-9e0b/",
    "/Set-Password/MQ/c7f2-9e0b/more",
    "/v1/documents/c7f2-9e0b",
    "/v1/documents/c7f2-9e0b/",
    "/documents%2Fc7f2-9e0b",
]


@pytest.mark.django_db
@pytest.mark.parametrize("path", SECRET_ADDRESSES)
def test_no_log_has_the_secret_of_an_address_whoever_answers(
    path: str, lines: Any, settings: Settings, client: Client, caplog: pytest.LogCaptureFixture
):
    settings.ACCESS_LOG = True
    caplog.handler.addFilter(SecretsFilter())
    note(path)
    client.get(path)
    assert lines()[0]["message"] == f"GET {lines()[0]['path']} 413"
    assert "c7f2" not in json.dumps(lines())


def test_every_address_with_a_secret_is_hidden():
    """New routes with a token have to be added to `secret_paths`."""
    secrets = re.compile(r"token|secret|password|uidb64|signature", re.IGNORECASE)
    routes = [route for route in list_routes(get_resolver()) if secrets.search("".join(re.findall(r"<[^>]*>", route)))]
    assert len(routes) >= 2
    assert [route for route in routes if "secret-1" in hide_secrets(re.sub(r"<[^>]*>", "secret-1", f"/{route}"))] == []


def list_routes(resolver: Any, beginning: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = f"{beginning}{pattern.pattern}"
        yield from list_routes(pattern, route) if hasattr(pattern, "url_patterns") else [route]


@pytest.mark.parametrize("sign", ["\n", "\r", "\x1b[2K", "\x00", "\u2028"])
def test_a_path_doesnt_begin_a_line_of_the_log(sign: str, lines: Any, settings: Settings):
    settings.ACCESS_LOG = True
    note(f"/a{sign}2026 INFO forged".encode().decode("latin-1"))
    assert lines()[0]["message"].isascii()
    assert lines()[0]["message"].isprintable()


def test_an_id_that_the_front_didnt_check_isnt_logged(lines: Any, settings: Settings):
    settings.ACCESS_LOG = True
    note("/v1/events", **{REQUEST_ID: "import-7] INFO forged ["})
    assert lines()[0]["request_id"] is None


def test_what_is_sent_to_sentry_has_no_secret_of_an_address(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(sentry_sdk, "init", lambda **options: calls.append(options))
    settings.SENTRY_DSN = "https://key@sentry.example/1"
    report_errors()
    event = {
        "request": {"url": "https://billing.example/set-password/MQ/c7f2/", "headers": {"Referer": "/documents/c7f2"}},
        "breadcrumbs": {"values": [{"message": "Not Found: /set-password/MQ/c7f2"}]},
        "level": "error",
    }
    for hook in ("before_send", "before_send_transaction"):
        sent = calls[0][hook](event, {})
        assert sent["request"]["url"] == "https://billing.example/set-password/…"
        assert "c7f2" not in json.dumps(sent)
