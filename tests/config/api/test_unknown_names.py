"""Unknown fields and parameters are refused, with the name that was probably meant."""

import pytest
from rest_framework import serializers

from config.api.unknown_names import Names, Unused, refused_fields, refused_names

REMOVE = ["Unknown name. Remove it, or see /v1/docs."]


class TierBody(serializers.Serializer):
    up_to = serializers.IntegerField()


class PriceBody(serializers.Serializer):
    unused = {"mode": Unused("Only one mode exists.", ("plain",))}

    amount = serializers.CharField()
    tiers = TierBody(many=True)
    parts = serializers.ListField(child=TierBody())
    metadata = serializers.DictField()
    number = serializers.CharField(read_only=True)


@pytest.mark.parametrize("sent", ["externalId", "external-id", "External_Id", "externl_id"])
def test_a_similar_name_is_suggested(sent):
    names = Names(frozenset({"external_id", "email"}))
    assert refused_names(names, [(sent, "acme")]) == {sent: ["Unknown name. Did you mean external_id?"]}


def test_another_name_is_refused_without_a_suggestion():
    assert refused_names(Names(frozenset({"external_id"})), [("color", "red")]) == {"color": REMOVE}


def test_unknown_fields_are_found_at_any_depth():
    body = {"amount": "1", "tiers": [{"up_to": 1}, {"upTo": 2}], "parts": [{"color": 1}]}
    assert refused_fields(PriceBody(), body) == {
        "tiers[1].upTo": ["Unknown name. Did you mean up_to?"], "parts[0].color": REMOVE,
    }  # fmt: skip


def test_maps_of_the_client_can_have_any_names():
    assert refused_fields(PriceBody(), {"metadata": {"anything": {"at": "all"}}}) == {}


def test_a_field_that_only_answers_have_is_refused():
    assert refused_fields(PriceBody(), {"number": "1"}) == {"number": REMOVE}


@pytest.mark.parametrize("value", ["plain", None, "", [], {}])
def test_a_value_that_changes_nothing_is_accepted(value):
    assert refused_fields(PriceBody(), {"mode": value}) == {}


@pytest.mark.parametrize("value", ["special", 0, False, ["plain"]])
def test_any_other_value_is_refused_with_the_reason(value):
    assert refused_fields(PriceBody(), {"mode": value}) == {"mode": ["Only one mode exists."]}


def test_at_most_twenty_names_are_listed():
    assert len(refused_names(Names(), [(f"name{number}", 1) for number in range(100_000)])) == 20
