"""A form is shown again with the reason if saving is refused, whatever refuses it."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.test import Client

from config.refusals import Refused
from tests.admin_pages import text_of, url

pytestmark = pytest.mark.django_db


def save(client: Client, refusal: Exception, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Rename a role while another process makes that impossible."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise refusal

    role = Group.objects.create(name="Support")
    monkeypatch.setattr(type(admin.site.get_model_admin(Group)), "save_model", refuse)
    return client.post(url("auth_group_change", role.pk), {"name": "Help"})


@pytest.mark.parametrize(
    ("refusal", "field"),
    [
        (Refused("This name is taken."), "__all__"),
        (ValidationError("This name is taken."), "__all__"),
        (ValidationError({"name": ["This name is taken."]}), "name"),
        (ValidationError({"no_field_of_the_form": ["This name is taken."]}), "__all__"),
    ],
)
def test_the_reason_is_shown_at_its_field_or_above_the_form(
    staff_client: Client, refusal: Exception, field: str, monkeypatch: pytest.MonkeyPatch
):
    response = save(staff_client, refusal, monkeypatch)
    assert response.status_code == 200
    assert response.context["adminform"].form.errors == {field: ["This name is taken."]}
    assert "This name is taken." in text_of(response)
    assert Group.objects.filter(name="Support").exists()
