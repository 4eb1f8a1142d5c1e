"""Conflicts of event ids, and their causes, in requests and answers."""

from typing import Any

from rest_framework import serializers

from events.api.serializers.problems import MOST_AT_ONCE
from events.models.duplicates import ConflictState, Difference, DuplicateKind


class DuplicateOut(serializers.Serializer[Any]):
    """Requests that repeated an `event_id`. Equal repeats share a row. Only the first event with an id counts."""

    id = serializers.CharField(source="pk")
    event_id = serializers.CharField()
    kind = serializers.ChoiceField(DuplicateKind.choices, help_text="Whether the content equals the first event's.")
    differs = serializers.ListField(
        child=serializers.ChoiceField(Difference.choices),
        help_text="The fields in which a conflict differs from the first event, the most telling one first.",
    )
    state = serializers.ChoiceField(
        ConflictState.choices, allow_null=True, help_text="Whether a conflict was dismissed; null for the same content."
    )
    event_name = serializers.CharField()
    external_customer_id = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field named as the base class's argument
    api_key_id = serializers.CharField(source="api_key.public_id", default=None, allow_null=True)
    count = serializers.IntegerField()
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    dismissed_at = serializers.DateTimeField(allow_null=True)
    dismissal = serializers.CharField(help_text="The reason for dismissing the conflict.")
    body = serializers.DictField(allow_null=True, help_text="The content, if it differs from the first event's.")


class ConflictOut(serializers.Serializer[Any]):
    """Open conflicts of one API key with the same main difference. If `is_capped` is true, there are more `events`."""

    api_key_id = serializers.CharField(source="api_key.public_id", default=None, allow_null=True)
    difference = serializers.ChoiceField(Difference.choices, help_text="What differs from the first event, mainly.")
    message = serializers.CharField(source="meaning")
    fix = serializers.CharField()
    events = serializers.IntegerField(help_text="Events that weren't counted.")
    is_capped = serializers.BooleanField()
    customers = serializers.IntegerField()
    sources = serializers.ListField(child=serializers.CharField(), help_text="At most five.")
    event_ids = serializers.ListField(child=serializers.CharField(), help_text="The newest three.")
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()


class Conflicts(serializers.Serializer[Any]):
    items = ConflictOut(many=True)


class ConflictCauseBody(serializers.Serializer[Any]):
    """A cause of open conflicts."""

    api_key_id = serializers.CharField(max_length=64, allow_null=True, default=None)
    difference = serializers.ChoiceField(Difference.choices)


class ConflictDismissal(serializers.Serializer[Any]):
    """Open conflicts, by id or by cause, and the reason for dismissing them."""

    conflict_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), max_length=MOST_AT_ONCE, required=False
    )
    cause = ConflictCauseBody(required=False)
    reason = serializers.CharField(max_length=255, help_text="The reason for not counting the events.")

    def validate(self, attrs: Any) -> Any:
        if bool(attrs.get("conflict_ids")) == bool(attrs.get("cause")):
            raise serializers.ValidationError("Specify either conflict_ids or a cause.")
        return attrs
