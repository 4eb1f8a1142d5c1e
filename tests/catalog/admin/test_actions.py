import pytest
from django.test import Client

from catalog.models import EventNameAlias, Feature, Plan
from tests.admin_pages import as_viewer, submit, url
from tests.factories import (
    NOW,
    make_draft,
    make_feature,
    make_fee,
    make_plan,
    make_user,
)

pytestmark = pytest.mark.django_db

MODELS = ["feature", "plan", "planversion", "price", "eventnamealias"]


def test_a_feature_is_archived_with_a_reason_and_activated_again(staff_client):
    feature = make_feature()
    assert "This field is required" in submit(staff_client, url("catalog_feature_archive", feature.pk)).content.decode()

    submit(staff_client, url("catalog_feature_archive", feature.pk), reason="Nobody sends it")
    feature.refresh_from_db()
    assert feature.state == "archived"
    assert "Nobody sends it" in staff_client.get(url("catalog_feature_history", feature.pk)).content.decode()

    submit(staff_client, url("catalog_feature_activate", feature.pk), reason="")
    feature.refresh_from_db()
    assert feature.state == "active"


def test_a_feature_is_duplicated_with_another_reset(staff_client):
    original = make_feature(name="Storage", event_name="storage", field="gb", first_counted_at=NOW)
    answers = {"name": "Stored GB", "event_name": "storage", "aggregation": "sum", "field": "gb"}

    dialog = staff_client.get(url("catalog_feature_duplicate", original.pk)).content.decode()
    assert "Storage (new)" in dialog
    response = submit(staff_client, url("catalog_feature_duplicate", original.pk), **answers, reset="cumulative")

    copy = Feature.objects.get(name="Stored GB")
    assert response.headers["HX-Redirect"] == url("catalog_feature_change", copy.pk)
    assert (copy.reset, copy.counts_from) == ("cumulative", None)


def test_an_invalid_duplicate_shows_the_error(staff_client):
    original = make_feature(field="gb")
    answers = {"name": "Copy", "event_name": "storage", "aggregation": "sum", "field": "", "reset": "periodic"}

    response = submit(staff_client, url("catalog_feature_duplicate", original.pk), **answers)

    assert "Enter the aggregation field" in response.content.decode()
    assert Feature.objects.count() == 1


def test_a_plan_is_archived_and_activated(staff_client):
    plan = make_plan()

    submit(staff_client, url("catalog_plan_archive", plan.pk), reason="Old")
    plan.refresh_from_db()
    assert plan.state == "archived"

    submit(staff_client, url("catalog_plan_activate", plan.pk), reason="")
    plan.refresh_from_db()
    assert plan.state == "active"


def test_an_event_name_is_mapped_unless_a_feature_counts_it(staff_client):
    make_feature(event_name="api.calls")

    refused = staff_client.post(
        url("catalog_eventnamealias_add"), {"alias": "api.calls", "event_name": "x"}
    ).content.decode()
    assert "An active feature counts this name" in refused
    staff_client.post(
        url("catalog_eventnamealias_add"), {"alias": "API.calls", "event_name": "api.calls", "reason": "Old"}
    )
    assert EventNameAlias.objects.get().event_name == "api.calls"


@pytest.mark.parametrize("model", ["feature", "plan", "eventnamealias"])
def test_an_add_form_shows_no_fields_of_saved_rows(staff_client, model):
    response = staff_client.get(url(f"catalog_{model}_add"), follow=True)  # a plan has its own page
    assert response.status_code == 200
    assert "DatabaseDefault" not in response.content.decode()


def test_a_saved_alias_shows_its_author(staff_client, staff_user):
    assert "Created by" not in staff_client.get(url("catalog_eventnamealias_add")).content.decode()
    alias = EventNameAlias.objects.create(alias="API.calls", event_name="api.calls", created_by=staff_user)
    assert "Created by" in staff_client.get(url("catalog_eventnamealias_change", alias.pk)).content.decode()


def test_staff_with_view_permission_only_see_no_buttons_and_cannot_act():
    client, draft, feature = as_viewer(), make_draft(), make_feature()
    make_fee(version=draft)
    actions = [
        url("catalog_feature_archive", feature.pk),
        url("catalog_feature_duplicate", feature.pk),
        url("catalog_plan_archive", draft.plan_id),
        url("catalog_plan_new_version", draft.plan_id),
        url("catalog_planversion_publish_version", draft.pk),
        url("catalog_planversion_add_price", draft.pk),
        url("catalog_price_add"),
        url("catalog_feature_add"),
    ]

    for address in actions:
        assert client.get(address).status_code == 403, address
        assert submit(client, address, reason="x", note="x").status_code == 403, address
    page = client.get(url("catalog_planversion_change", draft.pk)).content.decode()
    assert "Publish this version" not in page
    assert "publish_version" not in page
    assert Plan.objects.get().state == "active"


def test_staff_without_a_view_permission_see_and_export_nothing():
    client = Client()
    client.force_login(make_user())

    for model in MODELS:
        assert client.get(url(f"catalog_{model}_changelist")).status_code == 403
        assert client.get(url(f"catalog_{model}_changelist", _export="csv")).status_code == 403


def test_a_list_is_exported_as_shown(staff_client):
    make_feature(name="Tokens", event_name="chat", field="tokens")
    make_feature(name="=HYPERLINK(1)", event_name="chat")
    make_feature(name="Calls")

    page = staff_client.get(url("catalog_feature_changelist", q="chat")).content.decode()
    assert "?q=chat&amp;_export=csv" in page
    assert "?q=chat&amp;_export=xlsx" in page
    file = staff_client.get(url("catalog_feature_changelist", q="chat", _export="csv")).getvalue().decode("utf-8-sig")

    lines = file.splitlines()
    assert lines[0].startswith("ID,Name,Lookup key,Kind,Event name,Aggregation")
    assert [line.split(",")[1] for line in lines[1:]] == ["'=HYPERLINK(1)", "Tokens"]
