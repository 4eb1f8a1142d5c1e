"""Personal data in the admin: a page that says what is erased and kept, the export, and the erasure."""

import json

import pytest
from auditlog.models import LogEntry
from django.utils import timezone

from billing.personal_data.erasing import continue_erasure, find_erasure
from config.office.history import change_of
from tests.admin_pages import submit, text_of, url
from tests.approving import colleague
from tests.billing.invoices import make_finalized
from tests.billing.personal_data.anna import NAME, REASON, make_anna

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna():
    return make_anna()


@pytest.fixture
def owner(db):
    return colleague("Owner", first_name="Ola")[1]


def test_the_page_says_what_is_erased_and_kept_and_why(anna, owner):
    text = text_of(owner.get(url("billing_personal_data", anna.pk)))
    assert "Event properties" in text
    assert "Required by tax law for 10 years after the end of the year" in text
    assert "2037-01-01" in text


def test_the_page_names_what_must_be_done_before(anna, owner):
    unpaid = make_finalized(customer=anna)
    text = text_of(owner.get(url("billing_personal_data", anna.pk)))
    assert f"Unpaid invoices: {unpaid.number}" in text


def test_an_owner_exports_and_the_change_log_notes_it(anna, owner):
    response = owner.post(url("billing_personal_data_file", anna.pk))
    assert json.loads(response.getvalue())["data"]["customers.customer"][0]["name"] == NAME
    assert response.headers["Content-Disposition"].startswith('attachment; filename="personal-data-cust')
    entry = LogEntry.objects.get_for_object(anna).latest("pk")
    assert [(edit.field, edit.after) for edit in change_of(entry).edits] == [("personal data", "exported")]


def test_an_owner_erases_and_the_customer_page_says_so(anna, owner):
    submit(owner, url("customers_customer_erase_personal_data", anna.pk), reason=REASON)
    assert "is being erased" in text_of(owner.get(url("customers_customer_change", anna.pk)))
    while continue_erasure(now=timezone.now()):
        pass
    page = url("customers_customer_change", anna.pk)
    text = text_of(owner.get(page))
    assert "Personal data erased on" in text
    assert "Kept: issued documents and payments, until 2037-01-01." in text
    assert NAME not in text
    assert "Activate" not in text
    assert url("customers_customer_edit", anna.pk) not in owner.get(page).content.decode()


def test_a_refused_erasure_stays_in_its_dialog(anna, owner):
    make_finalized(customer=anna)
    response = submit(owner, url("customers_customer_erase_personal_data", anna.pk), reason=REASON)
    assert "Unpaid invoices" in text_of(response)
    assert find_erasure(anna) is None


@pytest.mark.parametrize("role", ["Viewer", "Operations", "Finance"])
def test_other_roles_neither_see_nor_erase(anna, role):
    client = colleague(role)[1]
    assert client.get(url("billing_personal_data", anna.pk)).status_code == 403
    assert client.post(url("billing_personal_data_file", anna.pk)).status_code == 403
    assert client.post(url("customers_customer_erase_personal_data", anna.pk), {"reason": REASON}).status_code == 403
    assert find_erasure(anna) is None
