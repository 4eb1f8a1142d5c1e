"""Fields of events' requests: times and property filters."""

from datetime import UTC, datetime
from typing import Any

from django.core.validators import MaxLengthValidator
from rest_framework import serializers

from config.limits import MOST_FILTERED

FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class Values(serializers.DictField):
    """Property names, each with the accepted values."""

    def __init__(self, **kwargs: Any) -> None:
        child = serializers.ListField(child=serializers.CharField(), min_length=1, max_length=100)
        limit = MaxLengthValidator(MOST_FILTERED, f"Filter by at most {MOST_FILTERED} properties.")
        super().__init__(child=child, required=False, allow_null=True, validators=[limit], **kwargs)


class Moment(serializers.DateTimeField):
    """The start or end of a time range, limited to the years 1970 to 2200."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, **kwargs)

    def to_internal_value(self, value: Any) -> datetime:
        return min(max(super().to_internal_value(value), FIRST), LAST)
