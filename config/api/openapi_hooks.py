"""Additions to the built OpenAPI schema that apply to many operations."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from config.api.errors import KeyInUse, KeyReused
from config.api.views import ApiView

EXAMPLES = Path(__file__).parent / "openapi_examples.json"
JSON = "application/json"
PARAMETER = "IdempotencyKey"
DESCRIPTION = (
    "A unique text of up to 255 printable characters, such as a UUID. Requests with the same key and content run "
    "once, and return the same response for 24 hours. Failed requests can be sent again with the same key."
)

KEY_CONFLICT = "A request with the Idempotency-Key is in progress, or the key was used for a different request."
RETRY_AFTER = {"description": "The number of seconds to wait.", "schema": {"type": "integer"}, "required": True}
SIGNATURE = {
    "webhook-id": "The message's id, the same for every attempt. Store it to detect repeated messages.",
    "webhook-timestamp": "The time of this attempt, in seconds since 1970.",
    "webhook-signature": "The signature as defined by Standard Webhooks; two while the secret is being rotated.",
}
CONFLICTS = {refusal.code: refusal.default_detail for refusal in (KeyInUse, KeyReused)}


def describe_all(result: dict[str, Any], generator: Any, **kwargs: Any) -> dict[str, Any]:
    """Add `Retry-After` to 429 and 503, `Idempotency-Key` with its 409 to each write, and signatures to webhooks."""
    header = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
    parameter = {
        "in": "header",
        "name": "Idempotency-Key",
        "schema": header,
        "description": DESCRIPTION,
        "example": "6f1d2c1e-6a9e-4b0e-8f0a-1f3b7a4c9d20",
    }
    result.setdefault("components", {}).setdefault("parameters", {})[PARAMETER] = parameter
    for operation in _operations(result["paths"]):
        for status in {"429", "503"} & set(operation["responses"]):
            operation["responses"][status]["headers"] = {"Retry-After": RETRY_AFTER}
    for path, _, method, view in generator.endpoints:
        view_class = getattr(view, "cls", None)
        operation = result["paths"].get(path, {}).get(method.lower())
        if operation is None or not isinstance(view_class, type) or not issubclass(view_class, ApiView):
            continue
        if not view_class.is_once(method):
            continue
        operation.setdefault("parameters", []).append({"$ref": f"#/components/parameters/{PARAMETER}"})
        _add_conflict(operation["responses"])
    for message in _operations(result.get("webhooks", {})):
        message["parameters"] = [_header(name, description) for name, description in SIGNATURE.items()]
    return result


@cache
def examples() -> Any:
    """Load example answers by operation id and status, and example messages by event type.

    `make examples` writes the file from real answers; a test checks that it is current.
    """
    return json.loads(EXAMPLES.read_text())


def show_examples(result: dict[str, Any], generator: Any, **kwargs: Any) -> dict[str, Any]:
    """Add an example to every successful answer and every message."""
    for operation in _operations(result["paths"]):
        for status, answer in examples()["answers"].get(operation["operationId"], {}).items():
            operation["responses"][status]["content"][JSON]["example"] = answer
    for name, methods in result.get("webhooks", {}).items():
        if name in examples()["messages"]:
            methods["post"]["requestBody"]["content"][JSON]["example"] = examples()["messages"][name]
    return result


def _operations(paths: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (operation for methods in paths.values() for operation in methods.values())


def _header(name: str, description: str) -> dict[str, Any]:
    return {"in": "header", "name": name, "description": description, "required": True, "schema": {"type": "string"}}


def _add_conflict(responses: dict[str, Any]) -> None:
    examples: dict[str, Any] = {
        code: {"value": {"code": code, "message": message, "http_status_code": 409, "details": {}}}
        for code, message in CONFLICTS.items()
    }
    if "409" in responses:
        content = responses["409"]["content"][JSON]
        content["examples"] = content.get("examples", {}) | examples
        responses["409"]["description"] += f" {KEY_CONFLICT}"
        return
    content = {"schema": {"$ref": "#/components/schemas/ErrorBody"}, "examples": examples}
    responses["409"] = {"description": KEY_CONFLICT, "content": {JSON: content}}
