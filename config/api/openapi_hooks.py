"""Additions to the built OpenAPI schema that apply to many operations."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from config.api.errors import KeyInUse, KeyReused, error_body
from config.api.idempotency import HEADER, KEY_RULE
from config.api.views import ApiView

EXAMPLES = Path(__file__).parent / "openapi_examples.json"
JSON = "application/json"
PARAMETER = "IdempotencyKey"
DESCRIPTION = (
    "A unique text of up to 255 printable characters, such as a UUID. Requests with the same key and content run "
    "once, and return the same response for 24 hours. Failed requests can be sent again with the same key."
)

KEY_INVALID = "The Idempotency-Key is invalid."
OPEN_BODIES = ("ingestEvent", "ingestEventsBulk")
CHOICES = ("allOf", "oneOf", "anyOf")
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
        _add_refusals(operation["responses"])
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
        waiting = operation["responses"].get("202", {}).get("content", {}).get(JSON, {})
        if waiting.get("schema") == {"$ref": "#/components/schemas/ApprovalOut"}:
            waiting["example"] = examples()["answers"].get("getApproval", {}).get("200")
    for name, methods in result.get("webhooks", {}).items():
        if name in examples()["messages"]:
            methods["post"]["requestBody"]["content"][JSON]["example"] = examples()["messages"][name]
    return result


def close_bodies(result: dict[str, Any], generator: Any, **kwargs: Any) -> dict[str, Any]:
    """Describe that a body can't have other fields than those described. Events can: they are stored without them."""
    for operation in _operations(result["paths"]):
        if operation["operationId"] not in OPEN_BODIES:
            for content in operation.get("requestBody", {}).get("content", {}).values():
                _close(content["schema"], result["components"]["schemas"])
    return result


def _close(schema: dict[str, Any], components: dict[str, Any]) -> None:
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    parts = [*schema.get("properties", {}).values(), *(part for name in CHOICES for part in schema.get(name, []))]
    if "properties" in schema:
        if "additionalProperties" in schema:
            return  # closed already, as a part of another body
        schema["additionalProperties"] = False
    if isinstance(schema.get("items"), dict):
        parts.append(schema["items"])
    for part in parts:
        _close(part, components)


def _operations(paths: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (operation for methods in paths.values() for operation in methods.values())


def _header(name: str, description: str) -> dict[str, Any]:
    return {"in": "header", "name": name, "description": description, "required": True, "schema": {"type": "string"}}


def _add_refusals(responses: dict[str, Any]) -> None:
    """Add the 400 of an invalid key, and the 409 of a key in use or used for another request."""
    invalid = error_body(400, f"{HEADER}: {KEY_RULE}", details={HEADER: [KEY_RULE]})
    _add_examples(responses, "400", KEY_INVALID, {"invalid_idempotency_key": {"value": invalid}})
    examples: dict[str, Any] = {
        code: {"value": error_body(409, message, code=code)} for code, message in CONFLICTS.items()
    }
    _add_examples(responses, "409", KEY_CONFLICT, examples)


def _add_examples(responses: dict[str, Any], status: str, description: str, examples: dict[str, Any]) -> None:
    if status in responses:
        content = responses[status]["content"][JSON]
        content["examples"] = content.get("examples", {}) | examples
        responses[status]["description"] += f" {description}"
        return
    content = {"schema": {"$ref": "#/components/schemas/ErrorBody"}, "examples": examples}
    responses[status] = {"description": description, "content": {JSON: content}}
