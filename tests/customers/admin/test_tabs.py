import pytest
from unfold.admin import TabularInline

from customers.admin import add_customer_tab
from customers.admin.customers import CustomerAdmin
from customers.models import CustomerAlias
from tests.admin_pages import url
from tests.factories import make_customer


class NotesTab(TabularInline):
    """Stands for a tab of an app above."""

    model = CustomerAlias
    fields = ("alias",)
    tab = True
    verbose_name_plural = "notes of another app"

    def get_formset(self, request, obj=None, **kwargs):
        formset = super().get_formset(request, obj, **kwargs)
        formset.get_default_prefix = classmethod(lambda cls: "notes")
        return formset


@pytest.mark.django_db
def test_another_app_adds_its_tab_once(staff_client, monkeypatch):
    monkeypatch.setattr(CustomerAdmin, "inlines", CustomerAdmin.inlines)

    add_customer_tab(NotesTab)
    add_customer_tab(NotesTab)

    page = staff_client.get(url("customers_customer_edit_form", make_customer().pk)).content.decode()
    assert CustomerAdmin.inlines.count(NotesTab) == 1
    assert "Notes of another app" in page
