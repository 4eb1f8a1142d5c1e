"""Create, change and archive features. Each change is audited and sent as a signal after the commit."""

from copy import copy
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
MATCHING_FIELDS = (*METER_FIELDS, "field_aliases", "filters", "excluded", "counts_from")
# What the variants of a feature have in common with it. Their filters are its filters and their own values.
SHARED_FIELDS = (
    *(*METER_FIELDS, "field_aliases", "counts_from", "accept_numeric_strings"),
    *("unit_singular", "unit_plural", "rounding", "rounding_places"),
)


class MeterIsFixed(Refused):
    """The feature has counted events, so its meter can't change. Duplicate the feature instead."""


@transaction.atomic
def save_feature(feature: Feature, *, by: User | None, reason: str = "") -> Feature:
    """Validate and save a new or edited feature. Signals report what the change means for events.

    Raises ValidationError for invalid fields, and MeterIsFixed if the meter has counted events. Saving without a
    change sends no signal.
    """
    before = Feature.objects.select_for_update(no_key=True).filter(pk=feature.pk).first() if feature.pk else None
    if before is not None:
        _refuse_change_of_values(before, feature)
    return _save(before, feature, by, reason)


def _save(before: Feature | None, feature: Feature, by: User | None, reason: str) -> Feature:
    if before is not None:
        feature.first_counted_at = before.first_counted_at  # the worker may have set it since the caller read the row
        _refuse_change_of_fixed_meter(before, feature)
    feature.full_clean()
    with recorded(by=by, reason=reason):
        feature.save()
    if feature.kind == FeatureKind.METERED:
        _send_signals(before, feature, by)
    if before is not None:
        _change_variants(before, feature, by)
    return feature


def _change_variants(before: Feature, after: Feature, by: User | None) -> None:
    """Change the meters of a feature's variants with its own."""
    changed = [name for name in SHARED_FIELDS if getattr(before, name) != getattr(after, name)]
    if not changed and before.filters == after.filters:
        return
    for variant in after.variants.select_for_update(no_key=True).order_by("pk"):
        if variant.variant_property in after.filters:
            raise MeterIsFixed(
                f"{after.name} has prices by {variant.variant_property}, so it can't filter by this property."
            )
        earlier = copy(variant)
        for name in changed:
            setattr(variant, name, getattr(after, name))
        own = {} if variant.counts_other_values else {variant.variant_property: variant.variant_values}
        variant.filters = after.filters | own
        _save(earlier, variant, by, f"Changed with {after.name}")


def archive_feature(feature: Feature, *, now: datetime, by: User | None, reason: str = "") -> Feature:
    """Stop counting events for the feature. Prices keep it, and its events are stored as problems."""
    return _set_state(feature, FeatureState.ARCHIVED, now, by, reason)


def activate_feature(feature: Feature, *, by: User | None, reason: str = "") -> Feature:
    """Count events for an archived feature again. Events received in the meantime can be replayed."""
    return _set_state(feature, FeatureState.ACTIVE, None, by, reason)


def accept_numeric_strings(feature: Feature, *, by: User | None, reason: str = "") -> Feature:
    """Let the feature count "2" as 2 from now on. Its open problems can be replayed."""
    feature.refresh_from_db()
    feature.accept_numeric_strings = True
    return save_feature(feature, by=by, reason=reason)


def alias_property(feature: Feature, name: str, *, by: User | None, reason: str = "") -> Feature:
    """Read the property `name` where the aggregation field is missing, also in earlier events. Safe to repeat.

    Raises NoSuchField for a feature without a field, and ValidationError for an invalid name.
    """
    feature.refresh_from_db()
    if not feature.field:
        raise NoSuchField(f"{feature.name} counts events and reads no property.")
    if name in (feature.field, *feature.field_aliases):
        return feature
    feature.field_aliases = [*feature.field_aliases, name]
    return save_feature(feature, by=by, reason=reason)


def extend_filter(feature: Feature, name: str, value: str, *, by: User | None, reason: str = "") -> Feature:
    """Let the feature also count events whose property `name` is `value`, earlier ones included. Safe to repeat.

    Raises NoSuchField if the feature doesn't filter by the property.
    """
    feature.refresh_from_db()
    if name not in feature.filters:
        raise NoSuchField(f"{feature.name} doesn't filter by “{name}”.")
    if value in feature.filters[name]:
        return feature
    feature.filters = {**feature.filters, name: [*feature.filters[name], value]}
    return save_feature(feature, by=by, reason=reason)


class NoSuchField(Refused):
    """The feature doesn't read or filter by this property."""


def duplicate_as_new_feature(
    feature: Feature, *, name: str, by: User | None, key: str | None = None, **definition: Any
) -> Feature:
    """Create an active copy without usage, with the fields in `definition` changed.

    It counts events from its `counts_from` on, or all events of its name, earlier ones included, if that is blank.
    The original and the plans that use it don't change. Raises ValidationError.
    """
    duplicate = Feature(**{field.attname: getattr(feature, field.attname) for field in copied_fields()})
    duplicate.name, duplicate.key, duplicate.state, duplicate.archived_at = name, key, FeatureState.ACTIVE, None
    for field, value in definition.items():
        setattr(duplicate, field, value)
    return save_feature(duplicate, by=by, reason=f"Duplicate of {feature.name} ({feature.public_id})")


@transaction.atomic
def map_event_name(alias: str, event_name: str, *, by: User | None, reason: str = "") -> EventNameAlias:
    """Count events sent as `alias` as events named `event_name`. Calling it again changes the name.

    Raises ValidationError if both names are the same, and AliasIsInUse if an active feature counts the alias.
    """
    if Feature.objects.metered().active().filter(event_name=alias).exists():
        raise AliasIsInUse(
            f"{alias} is the event name of an active feature, which would no longer receive these events."
        )
    mapping = EventNameAlias.objects.select_for_update().filter(alias=alias).first() or EventNameAlias(alias=alias)
    if mapping.pk and mapping.event_name == event_name:
        return mapping
    mapping.event_name, mapping.reason, mapping.created_by = event_name, reason, by
    mapping.full_clean()
    with recorded(by=by, reason=reason):
        mapping.save()
    after_commit(event_name_mapped, EventNameAlias, alias=mapping, by=by)
    return mapping


def unmap_event_name(mapping: EventNameAlias, *, by: User | None, reason: str = "") -> None:
    """Stop counting events sent as the alias. Usage is counted again without them."""
    with recorded(by=by, reason=reason):
        mapping.delete()


class AliasIsInUse(Refused):
    """An active feature already counts events of this name."""


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
        names = ", ".join(str(getattr(Feature._meta.get_field(name), "verbose_name", name)) for name in changed)
        raise MeterIsFixed(
            f"{before.name} has counted events, so its {names} can't change. Duplicate it as a new feature."
        )


def _refuse_change_of_values(before: Feature, after: Feature) -> None:
    if before.variant_of_id and (before.filters, before.excluded) != (after.filters, after.excluded):
        raise MeterIsFixed(
            f"{before.name} has the price of certain values. To price other values, change the prices of the plan."
        )


def _send_signals(before: Feature | None, after: Feature, by: User | None) -> None:
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


def copied_fields() -> list[Any]:
    """Return the fields that a duplicate of a feature starts with."""
    excluded = {"id", "public_id", "key", "created_at", "updated_at", "first_counted_at", "state", "archived_at"}
    excluded |= {"variant_of", "variant_property"}  # a duplicate is a feature of its own
    return [field for field in Feature._meta.concrete_fields if field.name not in excluded]
