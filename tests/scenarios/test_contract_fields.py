"""Every field of the public contract is in the answers, null where there is nothing: strict clients require all.

The fields are those of the installed official client's models, for all of its operations that the API answers.
"""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from config.api.openapi_hooks import examples
from config.api.schema import load_schema
from tests.scenarios.sdk_operations import get_response, list_routes, list_sdk_operations

type Model = type[BaseModel]


def find_model(annotation: Any) -> Model | None:
    """Return the model in a type, for example in `Optional[List[Model]]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := find_model(part))), None)


def list_answers() -> dict[str, tuple[Model, dict[str, Any]]]:
    """Return the client's model and the schema of each operation's answer, without those that answer plain maps."""
    routes = list_routes()
    return {
        routes[operation.route]["operationId"]: (
            model,
            get_response(routes[operation.route], operation.status)["schema"],
        )
        for operation in list_sdk_operations()
        if operation.route in routes and (model := find_model(operation.answer_type))
    }


ANSWERS = list_answers()


def list_fields(model: Model) -> Iterator[tuple[str, Model | None]]:
    for name, field in model.model_fields.items():
        yield field.alias or name, find_model(field.annotation)


def object_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the object in a reference, a list or a choice."""
    kinds = schema.get("type")
    if "$ref" in schema:
        return object_schema(load_schema()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for choice in ("allOf", "oneOf", "anyOf"):
        if choice in schema:
            return object_schema(schema[choice][0])
    if kinds == "array" or (isinstance(kinds, list) and "array" in kinds):
        return object_schema(schema["items"])
    return schema


def missing_in_schema(model: Model, schema: dict[str, Any], path: str, seen: set[Model]) -> Iterator[str]:
    properties = object_schema(schema).get("properties")
    if properties is None or model in seen:
        return
    for name, nested in list_fields(model):
        if name not in properties:
            yield f"{path}.{name}"
        elif nested:
            yield from missing_in_schema(nested, properties[name], f"{path}.{name}", seen | {model})


def missing_in_answer(model: Model, answer: Any, path: str) -> Iterator[str]:
    if isinstance(answer, list):
        for item in answer:
            yield from missing_in_answer(model, item, path)
    elif isinstance(answer, dict):
        for name, nested in list_fields(model):
            if name not in answer:
                yield f"{path}.{name}"
            elif nested:
                yield from missing_in_answer(nested, answer[name], f"{path}.{name}")


def test_most_operations_of_the_client_are_compared():
    assert len(ANSWERS) > 100


@pytest.mark.parametrize("operation_id", ANSWERS)
def test_the_schema_has_every_field_of_the_contract(operation_id):
    model, schema = ANSWERS[operation_id]
    assert object_schema(schema).get("properties")
    assert list(missing_in_schema(model, schema, operation_id, set())) == []


@pytest.mark.parametrize("operation_id", ANSWERS)
def test_the_example_answers_have_every_field_of_the_contract(operation_id):
    model, _ = ANSWERS[operation_id]
    for answer in examples()["answers"][operation_id].values():
        assert list(missing_in_answer(model, answer, operation_id)) == []
