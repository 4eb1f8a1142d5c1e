"""List filters that several apps use."""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import SplitDateTimeField
from django.http import HttpRequest
from unfold.contrib.filters.admin import RangeDateTimeFilter as NaiveRangeDateTimeFilter


class RangeDateTimeFilter(NaiveRangeDateTimeFilter):
    """Filter between two times, inclusive, in the current time zone. A day without a time means its start.

    Unfold's own filter reads times without a time zone and ignores days without a time. Invalid times are ignored.
    """

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        for edge, lookup in (("from", "gte"), ("to", "lte")):
            moment = self.moment(edge)
            if moment is not None:
                queryset = queryset.filter(**{f"{self.parameter_name}__{lookup}": moment})
        return queryset

    def moment(self, edge: str) -> datetime | None:
        """Return the time of an edge, "from" or "to"."""
        day = self.used_parameters.get(f"{self.parameter_name}_{edge}_0") or ""
        time = self.used_parameters.get(f"{self.parameter_name}_{edge}_1") or "00:00:00"
        try:
            moment: datetime | None = SplitDateTimeField(required=False).clean([day, time if day else ""])
        except ValidationError:
            return None
        return moment
