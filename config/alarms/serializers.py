"""Alarms in requests and answers."""

from typing import Any

from rest_framework import serializers

from config.alarms.kinds import AlarmKind, AlarmStatus
from config.api.fields import BlankAsNullField


class AcknowledgmentIn(serializers.Serializer[Any]):
    """What is being done about the alarm."""

    note = serializers.CharField(max_length=255)


class AlarmOut(serializers.Serializer[Any]):
    """Something that a person must look at. It is cleared automatically when it is over.

    An acknowledged alarm is still open; no more reminders are sent about it.
    """

    id = serializers.CharField(source="public_id")
    kind = serializers.ChoiceField(AlarmKind.choices)
    about = BlankAsNullField(help_text="What it is about, if there can be several: a schedule, an endpoint.")
    status = serializers.ChoiceField(AlarmStatus.values)
    message = serializers.CharField()
    what_to_do = serializers.CharField()
    url = BlankAsNullField(help_text="The path of the admin page to look at.")
    opened_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField(source="seen_at")
    cleared_at = serializers.DateTimeField(allow_null=True)
    acknowledged_at = serializers.DateTimeField(allow_null=True)
    acknowledged_by = serializers.SerializerMethodField()
    note = BlankAsNullField()

    def get_acknowledged_by(self, alarm: Any) -> str | None:
        return alarm.acknowledger or None
