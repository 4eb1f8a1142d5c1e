"""Filters of the list of problems."""

from typing import ClassVar

import django_filters as filters

from config.api.filters import ManyFilter, MomentFilter
from events.api.serializers.problems import PROBLEM_STATES
from events.models import Problem


class ProblemFilter(filters.FilterSet):
    reason = ManyFilter(field_name="reason")
    state = ManyFilter(
        field_name="state",
        names={name: str(state.value) for name, state in PROBLEM_STATES.items()},
        help_text="open, resolved, dismissed or voided. Defaults to all.",
    )
    event_name = filters.CharFilter(field_name="event_name")
    event_id = filters.CharFilter(field_name="event__event_id")
    external_customer_id = filters.CharFilter(field_name="external_customer_id")
    feature_id = filters.CharFilter(field_name="feature__public_id")
    start_time = MomentFilter(field_name="occurred_at", lookup_expr="gte")
    end_time = MomentFilter(field_name="occurred_at", lookup_expr="lt")

    class Meta:
        model = Problem
        fields: ClassVar[list[str]] = []
