"""Every dialog of the admin stays open, with what was typed, when its action is refused."""

import pytest
from django.contrib import admin
from django.urls import reverse

from tests.factories import make_subscription


def test_every_dialog_reports_a_refusal_itself():
    unprotected = [
        f"{type(model_admin).__name__}.{name}"
        for model_admin in admin.site._registry.values()
        for name in dir(type(model_admin))
        if hasattr(action := getattr(type(model_admin), name), "dialog")
        and not hasattr(getattr(action, "__wrapped__", None), "__wrapped__")
    ]
    assert unprotected == []


def title_of(page):
    return page.partition("<title>")[2].partition("</title>")[0].strip()


@pytest.mark.django_db
def test_a_dialog_opened_by_its_address_is_a_page(staff_client):
    subscription = make_subscription()
    address = reverse("admin:customers_subscription_change_plan", args=[subscription.pk])
    page = staff_client.get(address).content.decode()
    assert page.count("<main") == page.count('<div id="dialog">') == 1
    assert title_of(page).startswith("Change the plan")
    assert f'<a class="ch-button" href="{subscription.get_absolute_url()}">Cancel</a>' in page
    loaded = staff_client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert loaded.lstrip().startswith('<div id="dialog">')
    assert "openModal = false" in loaded


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("events_problem_dismiss_cause", "Dismiss these problems?"),
        ("billing_billingrun_start_dry", "Start a dry run"),
    ],
)
def test_dialogs_of_lists_are_pages_too(staff_client, name, title):
    cause = {"cause": "unknown_event_name", "event_name": "wrong"}
    page = staff_client.get(reverse(f"admin:{name}"), cause).content.decode()
    assert "<main" in page
    assert title_of(page).startswith(title)
