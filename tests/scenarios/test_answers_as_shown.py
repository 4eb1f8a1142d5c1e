"""The schema shows what every operation answers and every message says, and it is what they really answer and say."""

import json
import os

from django.utils import timezone

from config.api.openapi_hooks import EXAMPLES, examples
from tests.scenarios.described import JSON, described, operations, problems_of
from tests.scenarios.shown import NOW, collected, statuses_shown


def test_the_examples_are_what_is_answered_and_told(api, monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    found = collected(api)
    if os.environ.get("WRITE_EXAMPLES"):
        EXAMPLES.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        examples.cache_clear()
        described.cache_clear()
    for part, shown in examples().items():
        wrong = [name for name in found[part].keys() | shown.keys() if found[part].get(name) != shown.get(name)]
        assert wrong == [], "Run `make examples`, and look at what it changes."


def test_every_answer_and_every_message_is_shown_by_an_example_that_fits_it():
    for path, method, one in operations():
        for status in statuses_shown(one):
            content = one["responses"][status]["content"][JSON]
            assert "example" in content, (method, path, status)
            assert problems_of(content["example"], content["schema"]) == [], (method, path, status)
    for name, methods in described()["webhooks"].items():
        content = methods["post"]["requestBody"]["content"][JSON]
        assert content["example"]["event_type"] == name
        assert problems_of(content["example"], content["schema"]) == [], name


def test_no_example_is_of_what_is_not_there_any_more():
    assert set(examples()["answers"]) == {one["operationId"] for _, _, one in operations() if statuses_shown(one)}
    assert set(examples()["messages"]) == set(described()["webhooks"])
