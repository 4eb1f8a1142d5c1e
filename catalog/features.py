"""What staff and the API do with features. Each change is audited, and told to the apps above after the commit."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from catalog.models import EventNameAlias, Feature
from catalog.models.features import FeatureKind, FeatureState
from catalog.signals import (
    after_commit,
    event_name_mapped,
    feature_activated,
    feature_archived,
    feature_created,
    matching_changed,
    strings_accepted,
)
from config.audit import recorded
from config.refusals import Refused

METER_FIELDS = ("event_name", "aggregation", "field", "reset", "multiplier")
MATCHING_FIELDS = (*METER_FIELDS, "filters", "counts_from")


class MeterIsFixed(Refused):
    """Events have counted by the meter, so its definition can't change: duplicate the feature instead."""


@transaction.atomic
def save_feature(feature: Feature, *, by: User | None, reason: str = "") -> Feature:
    """Validate and store a new or edited feature, and tell the apps above what that changes for events.

    Raises ValidationError for what the fields or the database refuse, MeterIsFixed for a change of a meter that
    has counted. Saving without a change tells nobody anything.
    """
    before = Feature.objects.select_for_update(no_key=True).filter(pk=feature.pk).first() if feature.pk else None
    if before is not None:
        feature.first_counted_at = before.first_counted_at  # the worker's to write, maybe since the caller read it
        _refuse_change_of_fixed_meter(before, feature)
    feature.full_clean()
    with recorded(by=by, reason=reason):
        feature.save()
    if feature.kind == FeatureKind.METERED:
        _announce(before, feature, by)
    return feature


def archive_feature(feature: Feature, *, now: datetime, by: User | None, reason: str = "") -> Feature:
    """Stop counting events for the feature. Prices keep it; events that come meanwhile wait as problems."""
    return _set_state(feature, FeatureState.ARCHIVED, now, by, reason)


def activate_feature(feature: Feature, *, by: User | None, reason: str = "") -> Feature:
    """Count events for an archived feature again; those that came meanwhile can be replayed."""
    return _set_state(feature, FeatureState.ACTIVE, None, by, reason)


def accept_numeric_strings(feature: Feature, *, by: User | None, reason: str = "") -> Feature:
    """Let the feature count "2" as 2 from now on; waiting problems can be replayed."""
    feature.refresh_from_db()
    feature.accept_numeric_strings = True
    return save_feature(feature, by=by, reason=reason)


def duplicate_as_new_feature(
    feature: Feature, *, name: str, by: User | None, key: str | None = None, **definition: Any
) -> Feature:
    """Make an active copy that has counted nothing yet, with other fields where `definition` names them.

    It counts from its `counts_from` on; where that is empty, all events of its name, earlier ones too. The
    original stays as it is, in its plans too. Raises ValidationError.
    """
    copy = Feature(**{field.attname: getattr(feature, field.attname) for field in _copied_fields()})
    copy.name, copy.key, copy.state, copy.archived_at = name, key, FeatureState.ACTIVE, None
    for field, value in definition.items():
        setattr(copy, field, value)
    return save_feature(copy, by=by, reason=f"Duplicate of {feature.name} ({feature.public_id})")


@transaction.atomic
def map_event_name(alias: str, event_name: str, *, by: User | None, reason: str = "") -> EventNameAlias:
    """Count events sent as `alias` as if they were named `event_name`. A second call points the alias elsewhere.

    Raises ValidationError when the alias is the name itself, AliasIsInUse when an active feature counts it already.
    """
    if Feature.objects.metered().active().filter(event_name=alias).exists():
        raise AliasIsInUse(f"{alias} is the event name of an active feature; mapping it would take its events away.")
    mapping = EventNameAlias.objects.select_for_update().filter(alias=alias).first() or EventNameAlias(alias=alias)
    if mapping.pk and mapping.event_name == event_name:
        return mapping
    mapping.event_name, mapping.reason, mapping.created_by = event_name, reason, by
    mapping.full_clean()
    with recorded(by=by, reason=reason):
        mapping.save()
    after_commit(event_name_mapped, EventNameAlias, alias=mapping, by=by)
    return mapping


class AliasIsInUse(Refused):
    """The name is right as it stands: an active feature counts it."""


def _set_state(
    feature: Feature, state: FeatureState, archived_at: datetime | None, by: User | None, reason: str
) -> Feature:
    feature.refresh_from_db()
    if feature.state == state:
        return feature
    feature.state, feature.archived_at = state, archived_at
    return save_feature(feature, by=by, reason=reason)


def _refuse_change_of_fixed_meter(before: Feature, after: Feature) -> None:
    changed = [name for name in METER_FIELDS if getattr(before, name) != getattr(after, name)]
    if before.is_meter_fixed and changed:
        words = ", ".join(str(getattr(Feature._meta.get_field(name), "verbose_name", name)) for name in changed)
        raise MeterIsFixed(
            f"{before.name} has counted events, so its {words} can't change. Duplicate it as a new feature."
        )


def _announce(before: Feature | None, after: Feature, by: User | None) -> None:
    if before is None:
        after_commit(feature_created, Feature, feature=after, by=by)
        return
    if before.state != after.state:
        signal = feature_activated if after.state == FeatureState.ACTIVE else feature_archived
        after_commit(signal, Feature, feature=after, by=by)
    if after.accept_numeric_strings and not before.accept_numeric_strings:
        after_commit(strings_accepted, Feature, feature=after, by=by)
    if any(getattr(before, name) != getattr(after, name) for name in MATCHING_FIELDS):
        after_commit(matching_changed, Feature, feature=after, by=by)


def _copied_fields() -> list[Any]:
    own = {"id", "public_id", "key", "created_at", "updated_at", "first_counted_at", "state", "archived_at"}
    return [field for field in Feature._meta.concrete_fields if field.name not in own]
