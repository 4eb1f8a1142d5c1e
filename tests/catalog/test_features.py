from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from catalog import signals
from catalog.features import (
    AliasIsInUse,
    MeterIsFixed,
    accept_numeric_strings,
    activate_feature,
    archive_feature,
    duplicate_as_new_feature,
    map_event_name,
    save_feature,
)
from catalog.models import EventNameAlias, Feature
from config.audit import changes_of
from tests.factories import NOW, make_feature, make_user

pytestmark = pytest.mark.django_db

ALL = [
    "feature_created",
    "feature_activated",
    "feature_archived",
    "strings_accepted",
    "matching_changed",
    "event_name_mapped",
]


@pytest.fixture
def signals_of(django_capture_on_commit_callbacks):
    """Run a change as if committed, and return the names of the signals that it sent."""

    def listen(change) -> list[str]:
        names: list[str] = []
        receivers = {name: lambda name=name, **kwargs: names.append(name) for name in ALL}
        for name, receiver in receivers.items():
            getattr(signals, name).connect(receiver)
        with django_capture_on_commit_callbacks(execute=True):
            change()
        for name, receiver in receivers.items():
            getattr(signals, name).disconnect(receiver)
        return names

    return listen


def test_a_new_metered_feature_sends_a_signal(signals_of):
    feature = Feature(name="Calls", event_name="api.calls", aggregation="count")

    assert signals_of(lambda: save_feature(feature, by=None)) == ["feature_created"]


def test_a_feature_without_a_meter_sends_no_signal(signals_of):
    assert signals_of(lambda: save_feature(Feature(name="SSO", kind="boolean"), by=None)) == []


def test_renaming_a_feature_sends_no_signal(signals_of):
    feature = make_feature()
    feature.name = "Better name"

    assert signals_of(lambda: save_feature(feature, by=None)) == []


@pytest.mark.parametrize(
    "change", [{"filters": {"model": ["a"]}}, {"counts_from": NOW}, {"event_name": "api.call"}, {"reset": "cumulative"}]
)
def test_a_change_of_the_matching_events_sends_a_signal(signals_of, change):
    feature = make_feature()
    for field, value in change.items():
        setattr(feature, field, value)

    assert signals_of(lambda: save_feature(feature, by=None)) == ["matching_changed"]


def test_archiving_and_activating_send_one_signal_each(signals_of):
    feature = make_feature()

    assert signals_of(lambda: archive_feature(feature, now=NOW, by=None)) == ["feature_archived"]
    assert signals_of(lambda: archive_feature(feature, now=NOW, by=None)) == []
    assert feature.archived_at == NOW
    assert signals_of(lambda: activate_feature(feature, by=None)) == ["feature_activated"]
    assert signals_of(lambda: activate_feature(feature, by=None)) == []
    assert feature.archived_at is None


def test_accepting_strings_sends_a_signal(signals_of):
    feature = make_feature(field="tokens", accept_numeric_strings=False)

    assert signals_of(lambda: accept_numeric_strings(feature, by=None)) == ["strings_accepted"]
    assert Feature.objects.get().accept_numeric_strings


def test_a_change_is_recorded_with_its_author_and_reason():
    feature, user = make_feature(), make_user(email="fin@example.com")

    archive_feature(feature, now=NOW, by=user, reason="Nobody sends it")

    entry = changes_of([feature])[0]
    assert (entry.actor, entry.actor_email) == (user, "fin@example.com")
    assert entry.additional_data == {"reason": "Nobody sends it"}
    assert entry.changes["state"] == ["active", "archived"]


@pytest.mark.parametrize(
    "change", [{"event_name": "other"}, {"aggregation": "max"}, {"field": "credits"}, {"reset": "cumulative"}]
)
def test_a_meter_that_has_counted_events_can_not_change(change):
    feature = make_feature(name="Tokens", field="tokens", first_counted_at=NOW)
    for field, value in change.items():
        setattr(feature, field, value)

    with pytest.raises(MeterIsFixed, match=r"Tokens has counted events, so its .* can't change"):
        save_feature(feature, by=None)


def test_filters_of_a_counted_meter_can_change():
    feature = make_feature(first_counted_at=NOW)
    feature.filters = {"model": ["a"]}

    assert save_feature(feature, by=None).filters == {"model": ["a"]}


def test_saving_an_old_copy_keeps_the_time_of_the_first_counted_event():
    feature = make_feature()
    Feature.objects.filter(pk=feature.pk).update(first_counted_at=NOW)

    save_feature(feature, by=None)

    assert Feature.objects.get().first_counted_at == NOW


def test_a_duplicate_has_no_usage_and_can_have_another_definition():
    original = make_feature(
        name="Storage",
        key="storage",
        event_name="storage",
        field="gb",
        first_counted_at=NOW,
        unit_singular="GB",
        unit_plural="GB",
    )

    copy = duplicate_as_new_feature(original, name="Stored GB", by=None, reset="cumulative", counts_from=NOW)

    assert (copy.event_name, copy.aggregation, copy.field, copy.unit_plural) == ("storage", "sum", "gb", "GB")
    assert (copy.reset, copy.counts_from, copy.first_counted_at, copy.key) == ("cumulative", NOW, None, None)
    assert copy.public_id != original.public_id
    original.refresh_from_db()
    assert original.reset == "periodic"


def test_a_duplicate_of_an_archived_feature_is_active():
    original = make_feature(state="archived", archived_at=NOW - timedelta(days=1))

    assert duplicate_as_new_feature(original, name="Again", by=None).state == "active"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"aggregation": "sum"}, "Enter the aggregation field"),
        ({"aggregation": "sum_with_multiplier", "field": "x"}, "needs a positive multiplier"),
        ({"event_name": " api.calls"}, "must not start or end with a space"),
        ({"unit_singular": "call"}, "singular and the plural"),
        ({"kind": "boolean"}, "others neither"),
        ({"filters": ["model"]}, "Enter the filters as an object"),
        ({"filters": {"model": "gpt-4"}}, "Enter the values of model as a list of strings"),
        ({"filters": {"size": [1]}}, "Enter the values of size as a list of strings"),
        ({"aggregation": "count", "multiplier": Decimal(2)}, "Others have none"),
    ],
)
def test_an_invalid_meter_is_refused_with_a_message(wrong, message):
    feature = Feature(**{"name": "Calls", "event_name": "api.calls", "aggregation": "count"} | wrong)

    with pytest.raises(ValidationError, match=message):
        save_feature(feature, by=None)


# --- Aliases -----------------------------------------------------------------------------------------


def test_a_wrong_name_is_mapped_once_and_can_be_mapped_to_another_name(signals_of):
    make_feature(event_name="model.usage")
    user = make_user()

    assert signals_of(lambda: map_event_name("Model.Usage", "model.usage", by=user, reason="Old SDK")) == [
        "event_name_mapped"
    ]
    assert signals_of(lambda: map_event_name("Model.Usage", "model.usage", by=user)) == []
    assert signals_of(lambda: map_event_name("Model.Usage", "other", by=user)) == ["event_name_mapped"]

    alias = EventNameAlias.objects.get()
    assert (alias.event_name, alias.created_by) == ("other", user)


def test_the_event_name_of_an_active_feature_can_not_be_mapped():
    make_feature(event_name="api.calls")

    with pytest.raises(AliasIsInUse):
        map_event_name("api.calls", "other", by=None)


def test_an_alias_of_itself_is_refused():
    with pytest.raises(ValidationError, match="The alias is the event name itself"):
        map_event_name("api.calls", "api.calls", by=None)
