from decimal import Decimal

import pytest

from catalog.features import map_event_name
from catalog.models import Feature, PlanVersion
from catalog.publishing import get_or_create_draft
from tests.admin_pages import count_queries, text_of, url
from tests.factories import (
    NOW,
    make_draft,
    make_feature,
    make_plan,
    make_price,
    make_user,
    make_version,
)

pytestmark = pytest.mark.django_db

MODELS = ["feature", "plan", "planversion", "price", "eventnamealias"]


def fill_the_catalog(rounds: int) -> None:
    tiers = [(Decimal(100), Decimal(2)), (None, Decimal(1))]
    for number in range(rounds):
        feature = make_feature()
        version = make_version(
            *({"feature": make_feature(), "model": "graduated", "tiers": tiers} for _ in range(rounds)),
            {"feature": feature},
            free_units={feature: Decimal(5)},
        )
        get_or_create_draft(version.plan, by=None)
        map_event_name(f"wrong-{rounds}-{number}", "api.calls", by=make_user())


def test_the_form_of_a_feature_asks_whether_the_client_sends_numbers_as_text(staff_client):
    page = text_of(staff_client.get(url("catalog_feature_add")))
    assert "Does your client send numbers as text?" in page
    assert "official Flexprice SDK" in page


@pytest.mark.parametrize("model", MODELS)
def test_an_empty_list_shows_what_to_do_next(staff_client, model):
    page = staff_client.get(url(f"catalog_{model}_changelist")).content.decode()

    assert "This page yielded into no results" not in page
    assert any(words in page for words in ("yet", "No event name aliases"))


@pytest.mark.parametrize("model", MODELS)
def test_list_length_does_not_change_query_count(staff_client, model):
    fill_the_catalog(1)
    few = count_queries(staff_client, url(f"catalog_{model}_changelist"))
    fill_the_catalog(3)

    assert count_queries(staff_client, url(f"catalog_{model}_changelist")) == few


@pytest.mark.parametrize("state", ["draft", "published"])
def test_prices_of_a_version_do_not_change_query_count(staff_client, state):
    fill_the_catalog(1)
    few = count_queries(
        staff_client, url("catalog_planversion_change", PlanVersion.objects.filter(state=state).latest("pk").pk)
    )
    fill_the_catalog(4)

    many = count_queries(
        staff_client, url("catalog_planversion_change", PlanVersion.objects.filter(state=state).latest("pk").pk)
    )
    assert many == few


def test_plans_of_a_feature_do_not_change_query_count(staff_client):
    feature = make_feature()
    make_version({"feature": feature})
    few = count_queries(staff_client, url("catalog_feature_change", feature.pk))
    for _ in range(3):
        make_version({"feature": feature})

    assert count_queries(staff_client, url("catalog_feature_change", feature.pk)) == few


def test_versions_of_a_plan_do_not_change_query_count(staff_client):
    def queries(versions: int) -> int:
        plan = make_plan()
        for number in range(2, versions + 1):
            PlanVersion.objects.create(plan=plan, number=number, state="published", published_at=NOW)
        return count_queries(staff_client, url("catalog_plan_change", plan.pk))

    assert queries(6) == queries(2)


def test_tiers_of_a_price_do_not_change_query_count(staff_client):
    def queries(tiers: int) -> int:
        bounds = [(Decimal(n), Decimal(1)) for n in range(1, tiers)]
        price = make_price(version=make_draft(), model="volume", tiers=[*bounds, (None, Decimal(1))])
        return count_queries(staff_client, url("catalog_price_change", price.pk))

    assert queries(12) == queries(2)


@pytest.mark.parametrize(
    ("found", "search"), [("Tokens", "chat.completion"), ("Tokens", "tok"), ("API calls", "api-calls")]
)
def test_features_are_found_by_name_event_and_key(staff_client, found, search):
    make_feature(name="Tokens", event_name="chat.completion", field="tokens")
    make_feature(name="API calls", key="api-calls", event_name="api.calls")

    page = staff_client.get(url("catalog_feature_changelist", q=search)).content.decode()

    assert found in page
    assert ({"Tokens", "API calls"} - {found}).pop() not in page


def test_a_feature_page_describes_the_meter(staff_client):
    feature = make_feature(event_name="chat.completion", field="tokens", filters={"model": ["a"]})

    page = staff_client.get(url("catalog_feature_change", feature.pk)).content.decode()

    assert "Sums “tokens” of every “chat.completion” event whose model is a" in page


def test_a_meter_with_usage_is_read_only(staff_client):
    feature = make_feature(name="Tokens", field="tokens", first_counted_at=NOW)

    page = staff_client.get(url("catalog_feature_change", feature.pk)).content.decode()

    assert 'name="event_name"' not in page
    assert 'name="filters"' in page
    assert "Duplicate as new feature" in page
    answers = {"name": "Tokens", "event_name": "other", "reset": "cumulative", "filters": "{}", "rounding": "none"}
    staff_client.post(url("catalog_feature_change", feature.pk), {**answers, "rounding_places": "0"})
    feature.refresh_from_db()
    assert (feature.event_name, feature.reset) == ("api.calls", "periodic")


def test_a_feature_is_added_with_its_author_in_the_history(staff_client, staff_user):
    answers = {
        "name": "Calls",
        "kind": "metered",
        "event_name": "api.calls",
        "aggregation": "count",
        "reset": "periodic",
        "filters": "{}",
        "rounding": "none",
        "rounding_places": "0",
    }
    assert staff_client.post(url("catalog_feature_add"), answers).status_code == 302

    page = staff_client.get(url("catalog_feature_history", Feature.objects.get().pk)).content.decode()
    assert "Created" in page
    assert "staff" in page


def test_invalid_filters_show_an_error_at_the_field(staff_client):
    feature = make_feature()
    answers = {
        "name": "Calls",
        "filters": '{"model": "gpt"}',
        "kind": "metered",
        "event_name": "x",
        "aggregation": "count",
    }

    response = staff_client.post(
        url("catalog_feature_change", feature.pk),
        {**answers, "reset": "periodic", "rounding": "none", "rounding_places": "0"},
    )

    assert response.status_code == 200
    assert "as a list of strings" in response.content.decode()


def test_a_feature_in_use_can_not_be_deleted(staff_client):
    used, unused = make_feature(), make_feature()
    make_version({"feature": used})

    assert staff_client.post(url("catalog_feature_delete", used.pk), {"post": "yes"}).status_code == 403
    assert staff_client.post(url("catalog_feature_delete", unused.pk), {"post": "yes"}).status_code == 302
    assert list(Feature.objects.all()) == [used]
