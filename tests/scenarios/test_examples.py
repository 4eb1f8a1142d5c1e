"""Every response and webhook in the schema has an example, which is a real response or webhook."""

import json
import os

from django.utils import timezone

from config.api.openapi_hooks import EXAMPLES, examples
from config.api.schema import load_schema
from events.models import ApiKey
from tests.scenarios.examples import NOW, collect_examples, list_shown_statuses
from tests.scenarios.schema import JSON, find_violations, list_operations


def test_the_examples_equal_the_real_responses_and_webhooks(api, monkeypatch, entries_of_requests):
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    current = collect_examples(api)
    # An approval is carried out in the name of the colleague who requested it.
    by_keys = [entry.additional_data or {} for entry in entries_of_requests if entry.actor_id is None]
    assert {entry.get("api_key") for entry in by_keys} == {str(ApiKey.objects.get(name="Test"))}
    assert len(by_keys) > 100
    if os.environ.get("WRITE_EXAMPLES"):
        EXAMPLES.write_text(json.dumps(current, indent=1, ensure_ascii=False) + "\n")
        examples.cache_clear()
        load_schema.cache_clear()
    for part, recorded in examples().items():
        names = current[part].keys() | recorded.keys()
        changed = [name for name in names if current[part].get(name) != recorded.get(name)]
        assert changed == [], "Run `make examples` and review the changes."


def test_every_response_and_webhook_has_a_valid_example():
    for path, method, operation in list_operations():
        for status in list_shown_statuses(operation):
            content = operation["responses"][status]["content"][JSON]
            assert "example" in content, (method, path, status)
            assert find_violations(content["example"], content["schema"]) == [], (method, path, status)
    for name, methods in load_schema()["webhooks"].items():
        content = methods["post"]["requestBody"]["content"][JSON]
        assert content["example"]["event_type"] == name
        assert find_violations(content["example"], content["schema"]) == [], name


def test_no_example_is_left_of_a_removed_operation_or_webhook():
    assert set(examples()["answers"]) == {
        operation["operationId"] for _, _, operation in list_operations() if list_shown_statuses(operation)
    }
    assert set(examples()["messages"]) == set(load_schema()["webhooks"])
