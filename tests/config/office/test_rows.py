"""Long lists write their rows themselves: the same cells as Unfold's, with everything escaped."""

import re

import pytest
from django.contrib import admin
from django.test import RequestFactory

from billing.models import RunFinding
from config.templatetags.rows import has_plain_rows
from events.models import DuplicateEvent, Event, Problem, RefusedRequest
from tests.admin_pages import url
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("model", "is_plain"),
    [(Event, True), (Problem, True), (DuplicateEvent, True), (RefusedRequest, False), (RunFinding, False)],
)
def test_a_list_writes_its_rows_itself_if_its_columns_are_methods(model, is_plain, staff_user):
    request = RequestFactory().get("/")
    request.user = staff_user
    cl = admin.site.get_model_admin(model).get_changelist_instance(request)
    cl.formset = None
    assert bool(has_plain_rows(cl)) is is_plain


def test_rows_are_escaped_and_have_the_cells_of_unfold(staff_client):
    make_feature(event_name="<b>calls</b>")
    make_customer(external_id="acme", name="Acme & Sons")
    send("<b>calls</b>", event_id="e<1>", customer="acme", at=NOON)
    process()
    page = staff_client.get(url("events_event_changelist", received="all")).content.decode()
    row = page[page.index('<tr class="data-row') : page.index("</tbody>")]
    assert "&lt;b&gt;calls&lt;/b&gt;" in row
    assert "Acme &amp; Sons" in row
    assert "e&lt;1&gt;" in row
    assert not re.search("<b>|Acme & Sons|e<1>", row)
    names = re.findall(r'<td class="(?:field-)?([\w-]+)', row)
    assert names[:3] == ["event_link", "state_badge", "name"]
