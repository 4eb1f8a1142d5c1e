"""What the OpenAPI schema says of every operation alike, added once it is built."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from config.api.errors import KeyInUse, KeyReused
from config.api.views import ApiView

EXAMPLES = Path(__file__).parent / "openapi_examples.json"
JSON = "application/json"
PARAMETER = "IdempotencyKey"
DESCRIPTION = (
    "Any text of up to 255 printable characters, a UUID for example. The same request with the same key is carried "
    "out once, and answered the same for 24 hours. A refused request may be sent again."
)

KEY_CONFLICT = "The Idempotency-Key is at work just now, or was used for another request."
RETRY_AFTER = {"description": "Seconds to wait.", "schema": {"type": "integer"}, "required": True}
SIGNATURE = {
    "webhook-id": "The message's own id, the same with every try: remember it, and a repeat is known.",
    "webhook-timestamp": "When this try was signed, in seconds since 1970.",
    "webhook-signature": "By the endpoint's secret, as Standard Webhooks says; while a secret is rotated, by both.",
}
CONFLICTS = {refusal.code: refusal.default_detail for refusal in (KeyInUse, KeyReused)}


def describe_all(result: dict[str, Any], generator: Any, **kwargs: Any) -> dict[str, Any]:
    """Add `Retry-After` to what asks to wait; to each write the `Idempotency-Key`, and the 409 that goes with it.

    To each webhook the headers that sign it.
    """
    header = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
    parameter = {
        "in": "header", "name": "Idempotency-Key", "schema": header, "description": DESCRIPTION,
        "example": "6f1d2c1e-6a9e-4b0e-8f0a-1f3b7a4c9d20",
    }  # fmt: skip
    result.setdefault("components", {}).setdefault("parameters", {})[PARAMETER] = parameter
    for operation in (one for methods in result["paths"].values() for one in methods.values()):
        for status in {"429", "503"} & set(operation["responses"]):
            operation["responses"][status]["headers"] = {"Retry-After": RETRY_AFTER}
    for path, _, method, view in generator.endpoints:
        door = getattr(view, "cls", None)
        operation = result["paths"].get(path, {}).get(method.lower())
        if operation is None or door is None or not issubclass(door, ApiView) or not door.is_once(method):
            continue
        operation.setdefault("parameters", []).append({"$ref": f"#/components/parameters/{PARAMETER}"})
        _add_conflict(operation["responses"])
    for message in (one for methods in result.get("webhooks", {}).values() for one in methods.values()):
        message["parameters"] = [_header(name, says) for name, says in SIGNATURE.items()]
    return result


@cache
def examples() -> Any:
    """Read what operations answer, by their ids and statuses, and what messages say, by their names.

    `make examples` writes the file from real answers; a test keeps it as it is answered.
    """
    return json.loads(EXAMPLES.read_text())


def show_examples(result: dict[str, Any], generator: Any, **kwargs: Any) -> dict[str, Any]:
    """Add an example to every answer that succeeds and to every message."""
    for operation in (one for methods in result["paths"].values() for one in methods.values()):
        for status, answer in examples()["answers"].get(operation["operationId"], {}).items():
            operation["responses"][status]["content"][JSON]["example"] = answer
    for name, methods in result.get("webhooks", {}).items():
        if name in examples()["messages"]:
            methods["post"]["requestBody"]["content"][JSON]["example"] = examples()["messages"][name]
    return result


def _header(name: str, says: str) -> dict[str, Any]:
    return {"in": "header", "name": name, "description": says, "required": True, "schema": {"type": "string"}}


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
