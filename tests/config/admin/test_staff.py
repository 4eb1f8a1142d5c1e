"""Colleagues: added with name, email and role, they set a password with a link that is shown once, and log in."""

import re
from html import unescape
from urllib.parse import parse_qsl

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client

from billing.models import CompanyProfile
from tests.admin_pages import submit, text_of
from tests.factories import make_user

pytestmark = pytest.mark.django_db
ADD = "/admin/auth/user/add/"
PASSWORD = "correct-horse-battery"


def add_colleague(client, **answers):
    finance = Group.objects.get(name="Finance")
    form = {"first_name": "Mia", "last_name": "Berg", "email": "Mia@Larkspur.example", "role": finance.pk}
    return client.post(ADD, form | answers)


def link_in(response):
    return re.search(r'value="http://testserver(/set-password/[^"]+)"', response.content.decode())[1]


def set_password(client, link, password=PASSWORD):
    page = client.get(link, follow=True)
    address = page.redirect_chain[-1][0] if page.redirect_chain else link
    return client.post(address, {"new_password1": password, "new_password2": password}, follow=True)


def test_a_colleague_is_added_sets_a_password_and_is_logged_in(staff_client):
    response = add_colleague(staff_client)
    assert "no-store" in response.headers["Cache-Control"]
    mia = User.objects.get(username="mia@larkspur.example")
    assert (mia.get_full_name(), mia.is_staff, mia.is_superuser) == ("Mia Berg", True, False)
    assert [group.name for group in mia.groups.all()] == ["Finance"]

    colleague = Client()
    page = set_password(colleague, link_in(response))
    assert page.context_data["title"] == "Home"
    assert "Invoices" in text_of(page)
    assert Client().login(username="mia@larkspur.example", password=PASSWORD)


def test_the_link_can_be_sent_with_an_email_that_is_already_written(staff_client):
    CompanyProfile.objects.update_or_create(defaults={"name": "Larkspur & Söhne"})
    response = add_colleague(staff_client, last_name="O'Berg & Co")
    address = unescape(re.search(r'href="(mailto:[^"]+)"', response.content.decode())[1])
    to, _, fields = address.partition("?")
    assert to == "mailto:mia@larkspur.example"
    email = dict(parse_qsl(fields, strict_parsing=True))
    assert "+" not in fields  # mail programs show a plus sign as it is
    assert email["subject"] == "Sign in to the billing of Larkspur & Söhne"
    assert "Hello Mia O'Berg & Co,\n" in email["body"]
    assert link_in(response) in email["body"]


def test_the_form_of_a_colleague_speaks_of_roles(staff_client, staff_user):
    page = text_of(staff_client.get(f"/admin/auth/user/{staff_user.pk}/change/"))
    assert "What the colleague can view and change. Settings → Roles lists the permissions." in page
    assert "Designates whether" not in page
    assert "Groups" not in page


def test_a_link_works_once(staff_client):
    link = link_in(add_colleague(staff_client))
    set_password(Client(), link)
    page = set_password(Client(), link, "another-horse-battery")
    assert "This link was already used" in text_of(page)
    assert not Client().login(username="mia@larkspur.example", password="another-horse-battery")


def test_a_colleague_who_forgot_the_password_gets_a_new_link(staff_client):
    add_colleague(staff_client)
    mia = User.objects.get(username="mia@larkspur.example")
    response = submit(staff_client, f"/admin/auth/user/{mia.pk}/password-link/", reason="Forgotten")
    assert "Home" in text_of(set_password(Client(), link_in(response)))


@pytest.mark.parametrize("missing", ["first_name", "email", "role"])
def test_name_email_and_role_are_required(staff_client, missing):
    response = add_colleague(staff_client, **{missing: ""})
    assert list(response.context_data["adminform"].form.errors) == [missing]


def test_an_email_address_is_used_by_one_colleague(staff_client):
    add_colleague(staff_client)
    page = text_of(add_colleague(staff_client, email="mia@LARKSPUR.example"))
    assert "A colleague with this email address exists already." in page
    assert User.objects.filter(username__iexact="mia@larkspur.example").count() == 1


def test_staff_without_permission_cannot_add_colleagues_or_get_links():
    client = Client()
    client.force_login(make_user())
    assert add_colleague(client).status_code == 403
    user = make_user()
    assert client.get(f"/admin/auth/user/{user.pk}/password-link/").status_code == 403


def test_the_change_log_says_who_added_whom_without_the_password(staff_client, staff_user):
    add_colleague(staff_client)
    entry = LogEntry.objects.filter(action=LogEntry.Action.CREATE).latest("pk")
    assert (entry.object_repr, entry.actor) == ("mia@larkspur.example", staff_user)
    assert "password" not in entry.changes


# --- pages without permission ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "permission", "roles"),
    [
        ("/admin/billing/invoice/", "view invoice", "Auditor, Finance, Operations, Owner, Viewer"),
        ("/admin/catalog/feature/add/", "add feature", "Operations, Owner"),
        ("/admin/events/debugger/", "view event", "Auditor, Finance, Operations, Owner, Viewer"),
        ("/admin/auth/user/", "view user", "Auditor, Owner"),
    ],
)
def test_a_page_without_permission_says_who_has_it(staff_user, path, permission, roles):
    owner = make_user(first_name="Ada", last_name="Quist")
    owner.groups.add(Group.objects.get(name="Owner"))
    client = Client()
    client.force_login(make_user())
    response = client.get(path)
    page = text_of(response)
    assert response.status_code == 403
    assert f"“{permission}”" in page
    assert roles in page.replace(" ,", ",")
    assert "staff, Ada Quist" in page or "Ada Quist, staff" in page


def test_api_clients_still_get_json(client):
    response = client.get("/v1/customers")
    assert response.status_code == 401
    assert response.headers["Content-Type"].startswith("application/json")
