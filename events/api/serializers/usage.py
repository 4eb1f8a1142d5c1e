"""Usage in requests and answers."""

from typing import Any, ClassVar

from rest_framework import serializers

from catalog.api.names import AGGREGATIONS
from config.api.fields import NumberIn, TextField
from config.api.unknown_names import Unused
from events.api.serializers.fields import Moment, Values
from events.ingest.payload import LONGEST_NAME
from events.usage.windows import SIZES


class UsageWindow(serializers.Serializer[Any]):
    unused: ClassVar[dict[str, Unused]] = {
        "bucket_size": Unused("Bucketed aggregation isn't supported. Use window_size for a series.")
    }

    start_time = Moment(help_text="Defaults to 30 days before end_time.")
    end_time = Moment(help_text="Defaults to now.")
    window_size = serializers.ChoiceField(list(SIZES), required=False, allow_null=True, allow_blank=True)
    timezone = TextField(64, help_text="The time zone of the windows. Defaults to the customer's.")
    billing_anchor = Moment(help_text="MONTH windows start on this day of the month.")
    filters = Values()
    external_customer_id = TextField(LONGEST_NAME)
    customer_id = TextField(64)


class MeterQuery(UsageWindow):
    """A customer's usage of one feature."""

    meter_id = serializers.CharField(help_text="The id of the meter or the feature.")


class UsageQuery(UsageWindow):
    """A customer's usage by event name, as measured by the feature with this aggregation."""

    unused: ClassVar[dict[str, Unused]] = UsageWindow.unused | dict.fromkeys(
        ("group_by", "group_by_property"), Unused("Group usage with POST /v1/events/analytics.")
    )

    event_name = serializers.CharField(max_length=LONGEST_NAME)
    aggregation_type = serializers.ChoiceField(list(AGGREGATIONS))
    property_name = TextField(LONGEST_NAME)
    multiplier = NumberIn(max_digits=60, decimal_places=20, required=False, allow_null=True)


class UsagePoint(serializers.Serializer[Any]):
    window_size = serializers.DateTimeField(help_text="The window's start.")
    value = serializers.DecimalField(max_digits=None, decimal_places=None, coerce_to_string=False)


class UsageAnswer(serializers.Serializer[Any]):
    """The usage, in exact JSON numbers."""

    type = serializers.CharField()
    event_name = serializers.CharField()
    value = serializers.DecimalField(max_digits=None, decimal_places=None, coerce_to_string=False)
    results = UsagePoint(many=True)
