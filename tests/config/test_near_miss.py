"""Suggestions of names that were probably meant."""

import pytest

from config.near_miss import Difference, compare, nearest
from events.diagnosis.context import similar_external_ids
from tests.factories import make_customer


@pytest.mark.parametrize(
    ("sent", "known", "difference"),
    [
        ("Model.Usage", "model.usage", Difference.CASE),
        (" model.usage", "model.usage", Difference.CASE),
        ("model_usage", "model.usage", Difference.MARKS),
        ("ModelUsage", "model.usage", Difference.MARKS),
        ("modl.usage", "model.usage", Difference.TYPO),
        ("mdoel.usage", "model.usage", Difference.TYPO),
        ("model.usages", "model.usage", Difference.TYPO),
        ("tokens", "token", Difference.TYPO),
        ("STRASSE", "straße", Difference.CASE),
        ("cafe\u0301", "café", Difference.ENCODING),
        ("café", "cafe\u0301", Difference.ENCODING),
        ("CAFE\u0301", "café", Difference.CASE),
        ("cafe\u0301-paris", "café.paris", Difference.MARKS),
        ("cafe\u0301-pariss", "café-paris", Difference.TYPO),
    ],
)
def test_similar_names_are_found(sent, known, difference):
    found = compare(sent, known)
    assert found is not None
    assert found.difference == difference


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        ("model.usage", "model.usage"),
        ("storage", "model.usage"),
        ("customer-12", "customer-13"),
        ("customer-1", "customer-12"),
        ("customer-12", "customer-21"),
        ("gb", "mb"),
        ("", "model.usage"),
        ("...", "---"),
    ],
)
def test_different_names_are_not_suggested(sent, known):
    assert compare(sent, known) is None


def test_the_most_likely_name_comes_first():
    found = nearest("Model.Usage", ["model.usages", "model_usage", "model.usage"])
    assert found is not None
    assert found.name == "model.usage"
    assert found.how == "differs only in upper and lower case"


def test_a_short_name_allows_one_typo_and_a_long_one_two():
    assert compare("tokns", "tokens") is not None
    assert compare("tkns", "tokens") is None
    assert compare("compte.hurs", "compute.hours") is not None


@pytest.mark.django_db
@pytest.mark.parametrize("sent", ["ACME", "acme.corp", "acme-crop", "amce-corp", "acme-corpo", "xcme-corp", "acme-cor"])
def test_similar_customers_are_found_in_the_database(sent):
    make_customer(external_id="acme-corp")
    make_customer(external_id="acme")
    make_customer(external_id="other")
    found = nearest(sent, similar_external_ids(sent))
    assert found is not None
    assert found.name == ("acme" if sent == "ACME" else "acme-corp")


@pytest.mark.django_db
def test_wildcards_in_an_id_are_escaped():
    make_customer(external_id="100%_done")
    make_customer(external_id="100 percent")
    assert similar_external_ids("100%_dome") == ["100%_done"]
    assert similar_external_ids("a\\b_c%d") == []


@pytest.mark.django_db
def test_searching_the_customers_is_a_single_query(django_assert_num_queries):
    with django_assert_num_queries(1):
        similar_external_ids("x" * 255)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sent", "known"), [("cafe\u0301-zu\u0308rich", "café-zürich"), ("café-zürich", "cafe\u0301-zu\u0308rich")]
)
def test_an_id_in_the_other_unicode_form_is_the_customer_that_was_meant(sent, known):
    make_customer(external_id=known, name="Café Zürich")
    make_customer(external_id="café-paris")
    miss = nearest(sent, similar_external_ids(sent))
    assert (miss.name, miss.difference) == (known, Difference.ENCODING)
    assert "looks the same" in miss.how
