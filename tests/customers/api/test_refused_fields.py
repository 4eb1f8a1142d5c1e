"""The fields of the public contract that a new subscription refuses are documented, each with its reason."""

import os
from collections.abc import Iterator
from pathlib import Path

from rest_framework import serializers

from customers.api.bodies import SubscriptionIn

PAGE = Path(__file__).parents[3] / "docs" / "api.md"
MARK = "<!-- The test of refused fields writes this table. -->\n"
HEAD = "| field | value that is accepted | why another is refused |\n|---|---|---|\n"


def refused(body: serializers.Serializer, place: str = "") -> Iterator[str]:
    for name, unused in sorted(getattr(body, "unused", {}).items()):
        values = dict.fromkeys(str(value) for value in unused.values)
        accepted = ", ".join(f"`{value.lower() if value in ('True', 'False') else value}`" for value in values)
        yield f"| `{place}{name}` | {accepted} | {unused.reason} |\n"
    for name, field in body.fields.items():
        nested, suffix = (field.child, "[]") if hasattr(field, "child") else (field, "")
        if isinstance(nested, serializers.Serializer):
            yield from refused(nested, f"{place}{name}{suffix}.")


def test_each_refused_field_of_a_subscription_is_documented():
    table = HEAD + "".join(refused(SubscriptionIn()))
    page = PAGE.read_text()
    before, mark, after = page.partition(MARK)
    written = f"{before}{mark}{table}\n{after.partition('\n\n')[2]}"
    if os.environ.get("WRITE_EXAMPLES"):
        PAGE.write_text(written)
    assert PAGE.read_text() == written, "Run this test with WRITE_EXAMPLES=1."
