"""The operations of the installed official SDK, read from its code, and which of them the API answers."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flexprice
from flexprice import models
from pydantic import TypeAdapter

from tests.scenarios.schema import JSON, list_operations

RECEIVED = "webhook_events"  # operations that describe webhooks, which clients receive
NAMES = {"models": models, "Any": Any, "Dict": dict, "List": list}


@dataclass(frozen=True)
class SdkOperation:
    """A method of the SDK: its request, the status of success, and the expression of the answer's type."""

    group: str
    name: str
    method: str
    path: str
    status: str
    answer: str

    @property
    def route(self) -> tuple[str, str]:
        return self.method, shape(self.path)

    @property
    def answer_type(self) -> Any:
        """The type of the answer."""
        return eval(self.answer, dict(NAMES))

    def parse(self, body: Any) -> Any:
        """Read an answer as the SDK does. Raises what the SDK raises."""
        return TypeAdapter(self.answer_type).validate_python(body)


def shape(path: str) -> str:
    """Return a path without the names of its parameters.

    >>> shape("/invoices/{id}/void")
    '/invoices/{}/void'
    """
    return re.sub(r"\{[^}]*\}", "{}", path)


def list_sdk_operations() -> list[SdkOperation]:
    """List the SDK's operations by group and method."""
    folder = Path(flexprice.__file__).parent
    return [
        operation
        for file in sorted(folder.glob("*.py"))
        if file.stem != RECEIVED
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.ClassDef)
        for function in node.body
        if isinstance(function, ast.FunctionDef)
        for operation in _read_function(file.stem, function)
    ]


def _read_function(group: str, function: ast.FunctionDef) -> Iterator[SdkOperation]:
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    request = next((call for call in calls if _name(call) == "_build_request"), None)
    if request is None:
        return
    values = {word.arg: word.value.value for word in request.keywords if isinstance(word.value, ast.Constant)}
    success = next(call for call in calls if _name(call) == "match_response")
    answer = next((call for call in calls if _name(call) == "unmarshal_json_response"), None)
    status = ast.literal_eval(success.args[1])
    text = ast.unparse(answer.args[0]) if answer and not str(status).startswith("204") else "Any"
    yield SdkOperation(group, function.name, str(values["method"]), str(values["path"]), str(status), text)


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def list_routes() -> dict[tuple[str, str], Any]:
    """Return the API's operations by method and path, the path without `/v1` and without names of parameters."""
    return {
        (method.upper(), shape(path.removeprefix("/v1"))): operation for path, method, operation in list_operations()
    }


def get_response(operation: Any, status: str) -> Any:
    """Return the described response of an operation with a status, or None."""
    response = operation["responses"].get(status, {})
    return response.get("content", {}).get(JSON)
