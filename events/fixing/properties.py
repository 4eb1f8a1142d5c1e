"""The fixes for properties that a feature doesn't read: another name of its field, another value of its filter."""

import json
from collections import Counter
from datetime import datetime

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Q

from catalog.features import alias_property, extend_filter
from catalog.models import EventNameAlias, Feature
from events.fixing.base import Action, Field, FieldKind, FixRefused
from events.models import Problem, ProblemState
from events.reasons import Reason
from events.sql import section

MOST_READ = 500  # problems whose events are looked at for choices


class AliasProperty(Action):
    """Read the `property` as a feature's field where the field is missing. Without it, staff choose one in a form."""

    name = "alias_property"
    permissions = ("catalog.change_feature",)

    def title(self) -> str:
        name = f"“{self._property()}”" if self._property() else "another property"
        return f"Read {name} as {self._feature().field} for {self._feature()}"

    def fields(self) -> tuple[Field, ...]:
        if self.text("property"):
            return ()
        names = sent_names(self._feature())
        choices = tuple((name, f"{name} ({count:,} events)") for name, count in names.most_common())
        help_text = "It is read only where the field is missing, also in earlier events."
        return (Field("choice", "Read instead", kind=FieldKind.CHOICE, choices=choices, help=help_text),)

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        if not self._property():
            raise FixRefused("Choose the property to read.")
        alias_property(self._feature(), self._property(), by=by, reason=reason)

    def _property(self) -> str:
        return self.text("property") or self.text("choice")

    def listed(self) -> dict[str, str]:
        return {"reason": Reason.AGGREGATION_FIELD_MISSING.value, "feature__id__exact": self.text("feature")}

    def waiting(self) -> Q:
        return Q(reason=Reason.AGGREGATION_FIELD_MISSING, feature=self._feature())

    def _feature(self) -> Feature:
        return self.row(Feature, "feature")


class ExtendFilter(Action):
    """Let a `feature` also count events whose `property` is `value`.

    With an `event_name` instead, staff choose among the features of the name and the values that were sent.
    """

    name = "extend_filter"
    permissions = ("catalog.change_feature",)

    def title(self) -> str:
        if not self._is_chosen():
            return f"Extend a filter of “{self.text('event_name')}”"
        feature, name, value = self._choice()
        return f"Also count {name} = “{value}” in {feature}"

    def fields(self) -> tuple[Field, ...]:
        if not self.text("event_name"):
            return ()
        choices = tuple(sent_values(self.text("event_name")))
        return (
            Field("choice", "Also count", kind=FieldKind.CHOICE, choices=choices, help="Earlier events count as well."),
        )

    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        feature, name, value = self._choice()
        extend_filter(feature, name, value, by=by, reason=reason)

    def listed(self) -> dict[str, str]:
        names = self._names()
        return {"reason": Reason.FILTER_MISMATCH.value} | ({"event_name": names[0]} if len(names) == 1 else {})

    def waiting(self) -> Q:
        return Q(reason=Reason.FILTER_MISMATCH, event_name__in=self._names())

    def _names(self) -> list[str]:
        if self.text("event_name"):
            return [self.text("event_name")]
        event_name = self.row(Feature, "feature").event_name
        return [event_name, *EventNameAlias.objects.filter(event_name=event_name).values_list("alias", flat=True)]

    def _is_chosen(self) -> bool:
        return bool(self.text("choice") or self.text("feature"))

    def _choice(self) -> tuple[Feature, str, str]:
        """Return the feature, the property and the value to count."""
        if not self.text("choice"):
            return self.row(Feature, "feature"), self.text("property"), self.text("value")
        try:
            feature_id, name, value = map(str, json.loads(self.text("choice")))
        except ValueError as error:
            raise FixRefused("Choose what to count.") from error
        feature = Feature.objects.filter(pk=int(feature_id)).first() if feature_id.isdecimal() else None
        if feature is None:
            raise FixRefused("This feature no longer exists.")
        return feature, name, value


def sent_names(feature: Feature) -> Counter[str]:
    """Count the property names of the newest events that lack the feature's field."""
    problems = Problem.objects.filter(
        feature=feature, reason=Reason.AGGREGATION_FIELD_MISSING, state=ProblemState.OPEN
    ).order_by("-pk")
    details = problems.values_list("detail", flat=True)[:MOST_READ]
    return Counter(name for detail in details for name in detail.get("sent", ()))


def sent_values(event_name: str) -> list[tuple[str, str]]:
    """List the values that the filters of an event name don't allow, as choices, the most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(section("fixing", "sent_values"), {"event_name": event_name, "most": MOST_READ})
        rows = cursor.fetchall()
    return [
        (json.dumps([feature_id, name, value]), f"{name} = “{value}” in {feature} ({count:,} events)")
        for feature_id, feature, name, value, count in rows
    ]
