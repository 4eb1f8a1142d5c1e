"""A client of the API in the test process, which also checks the form of responses and errors."""

import json
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from events.access.keys import make_key
from events.models import Scope


def check_error(body: dict[str, Any], status: int) -> None:
    """Check that an error has the one form; `error` repeats it for clients that read errors there."""
    assert set(body) == {"code", "message", "http_status_code", "details", "success", "error"}
    assert body["message"]
    assert (body["http_status_code"], body["success"]) == (status, False)
    repeated = {name: body[name] for name in ("code", "message", "details")}
    assert body["error"] == repeated | {"internal_error": None}


class Api:
    """Send requests with a key with these scopes, and check the status of every response."""

    def __init__(self, *scopes: str) -> None:
        self.client = Client(headers={"x-api-key": make_key("Test", scopes=scopes or (Scope.ALL,))[1]})

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        return self._read(self.client.get(f"/v1/{path}", query), status)

    def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        return self._send("post", path, body, status)

    def put(self, path: str, body: Any = None, status: int = 200) -> Any:
        return self._send("put", path, body, status)

    def delete(self, path: str, body: Any = None, status: int = 200) -> Any:
        return self._send("delete", path, body, status)

    def _send(self, method: str, path: str, body: Any, status: int) -> Any:
        data = "" if body is None else json.dumps(body, default=str)  # the body of an action is optional
        options = {"content_type": "" if body is None else "application/json"}
        return self._read(self.client.generic(method.upper(), f"/v1/{path}", data, **options), status)

    def _read(self, response: Any, status: int) -> Any:
        assert response.status_code == status, response.getvalue().decode()
        if status == 204:
            assert response.content == b""
            return None
        assert response.headers["content-type"] == "application/json"
        body = json.loads(response.getvalue(), parse_float=Decimal)
        if status >= 400:
            check_error(body, status)
        return body


@pytest.fixture
def api(db: None) -> Api:
    """Return a client whose key has all scopes."""
    return Api()
