"""Addresses of rows that can't exist are not found: no view looks for them."""

import pytest
from django.contrib import admin

from config.office.base import BaseAdmin
from tests.admin_pages import url

pytestmark = pytest.mark.django_db


def pages_of_rows():
    """List the names of all pages of single rows: forms, histories and actions."""
    return sorted(
        pattern.name
        for model_admin in admin.site._registry.values()
        if isinstance(model_admin, BaseAdmin)
        for pattern in model_admin.get_urls()
        if pattern.name and set(pattern.pattern.converters) == {"object_id"}
    )


@pytest.mark.parametrize("object_id", ["abc", "2/statement", "1.5"])
def test_a_page_of_no_row_is_not_found(staff_client, object_id):
    names = pages_of_rows()
    assert len(names) > 100
    for name in names:
        assert staff_client.get(url(name, object_id)).status_code == 404, name


def test_a_row_that_no_table_can_hold_is_no_error(staff_client):
    for name in pages_of_rows():
        assert staff_client.get(url(name, "9" * 30)).status_code < 500, name
