"""How each feature counts an event. Uses the SQL of the processing, so that the two can't disagree."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from catalog.models import EventNameAlias, Feature
from config.near_miss import NearMiss, nearest
from events.diagnosis.steps import Comparison, DiagnosisStep, Evidence, Fix, Status, StepKey
from events.diagnosis.subject import Subject
from events.reasons import Reason
from events.sql import statement

# As in find.sql: these reasons don't matter if another feature of the event name counts the event.
YIELDING = (Reason.FILTER_MISMATCH, Reason.FEATURE_ARCHIVED, Reason.BEFORE_FEATURE_START)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a feature counts the event. `reason` is why it wouldn't count today; `value_reason` concerns only the value.

    `mismatches` are the properties that don't match the filter, with the text of the value that was sent, or None.
    `has_number`: the value is a number, or a text that contains only a number.
    `value` is the JSON text of the field, cut to 200 characters; `adds` is its contribution to a numeric aggregation.
    """

    feature: Feature
    by_alias: bool
    reason: Reason | None
    mismatches: Mapping[str, str | None]
    value_reason: Reason | None
    value_type: str | None
    value: str | None
    adds: Decimal | None
    unique_key: str | None
    has_number: bool

    @property
    def passes_filter(self) -> bool:
        return not self.mismatches

    @property
    def yields(self) -> bool:
        """Tell whether another feature of the event name could count the event instead, so that this is no problem."""
        return self.reason in YIELDING

    def step(
        self,
        key: StepKey,
        status: Status,
        sentence: str,
        reason: Reason | None = None,
        *,
        evidence: Sequence[Evidence] = (),
        comparisons: Sequence[Comparison] = (),
        fixes: Sequence[Fix] = (),
    ) -> DiagnosisStep:
        """Create a step about this feature."""
        feature = self.feature
        return DiagnosisStep(
            key, status, sentence, reason, evidence, comparisons, fixes, feature.public_id, feature.name
        )


@dataclass(frozen=True, slots=True)
class NameMatch:
    """The features that the event name feeds. If there are none, `suspected` is the name that was probably meant, and
    the readings are those of that name, so that the diagnosis can continue.
    """

    readings: tuple[Reading, ...]
    suspected: NearMiss | None = None

    @property
    def is_known(self) -> bool:
        return bool(self.readings) and self.suspected is None


def match_name(subject: Subject) -> NameMatch:
    """Read the event for the features of its name, or else of the most similar name."""
    if readings := read(subject, subject.event_name):
        return NameMatch(readings)
    names = {*Feature.objects.metered().values_list("event_name", flat=True).distinct()}
    aliases = {*EventNameAlias.objects.filter(event_name__in=names).values_list("alias", flat=True)}
    suspected = nearest(subject.event_name, names | aliases)
    return NameMatch(read(subject, suspected.name) if suspected else (), suspected)


def read(subject: Subject, event_name: str) -> tuple[Reading, ...]:
    """Read the event as if it had this name, for every metered feature of the name, including archived features."""
    with connection.cursor() as cursor:
        cursor.execute(
            statement("explain"),
            {
                "event_name": event_name,
                "properties": subject.properties,
                "occurred_at": subject.occurred_at,
                "received_at": subject.received_at,
            },
        )
        rows = cursor.fetchall()
    features = Feature.objects.in_bulk([row[0] for row in rows])
    return tuple(
        Reading(
            feature=features[row[0]],
            by_alias=row[1],
            reason=Reason(row[2]) if row[2] else None,
            mismatches=json.loads(row[3]),
            value_reason=Reason(row[4]) if row[4] else None,
            value_type=row[5],
            value=row[6],
            adds=row[7],
            unique_key=row[8],
            has_number=row[9],
        )
        for row in rows
    )
