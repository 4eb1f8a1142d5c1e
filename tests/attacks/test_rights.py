"""A key never does more than the colleague behind it may do, and lists can't be searched by undeclared columns."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, models
from django.test import Client
from django.utils import timezone

from billing.models import CouponApplication
from config.signin.models import SignInRules
from config.webhooks.endpoints import create_endpoint
from events.access.grants import ScopesRefused, keys_beyond_rights, missing_scopes
from events.access.keys import authenticate, make_key, rotate
from events.models import ApiKey, Scope
from tests.admin_pages import as_viewer, submit, text_of, url
from tests.billing.adjusting import make_coupon
from tests.factories import make_customer, make_user

pytestmark = pytest.mark.django_db
KEYS = "/admin/events/apikey/"


def colleague(role):
    user = make_user()
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return user, client


@pytest.mark.parametrize(
    ("role", "missing"),
    [
        ("Owner", []),
        ("Operations", ["all", "billing:write", "personal_data"]),
        ("Finance", ["all", "events:write", "catalog:write", "keys:write", "personal_data"]),
        (
            "Viewer",
            [
                "all",
                "events:write",
                "catalog:write",
                "customers:write",
                "billing:write",
                "keys:write",
                "approvals:write",
                "alarms:write",
                "personal_data",
            ],
        ),
    ],
)
def test_a_role_can_grant_the_scopes_that_its_permissions_include(role, missing):
    assert missing_scopes(colleague(role)[0], Scope.values) == missing


@pytest.mark.parametrize("scope", ["all", "billing:write"])
def test_operations_cant_create_a_key_that_moves_money(scope):
    _, client = colleague("Operations")
    response = client.post(f"{KEYS}add/", {"name": "Mine", "scopes": [scope]})
    assert response.status_code == 200
    assert not ApiKey.objects.exists()
    with pytest.raises(ScopesRefused):
        make_key("Mine", scopes=[scope], created_by=colleague("Operations")[0])


def test_operations_cant_rotate_an_owners_key_and_read_the_new_secret():
    owner, _ = colleague("Owner")
    key, secret = make_key("Owner's", created_by=owner)
    _, client = colleague("Operations")
    response = submit(client, url("events_apikey_rotate_key", key.pk), overlap="0")
    assert "sk_" not in response.content.decode()
    assert "Your permissions don't include all that “Everything” allows. Ask an owner." in text_of(response)
    assert ApiKey.objects.count() == 1
    assert authenticate(secret, now=timezone.now()).key_id == key.pk


def test_a_key_whose_maker_lost_permissions_is_shown_on_home_until_someone_takes_responsibility():
    maker, _ = colleague("Owner")
    make_key("Sync", created_by=maker)
    make_key("On the server")
    owner, client = colleague("Owner")
    assert keys_beyond_rights() == []
    maker.groups.set([Group.objects.get(name="Operations")])
    key = ApiKey.objects.get(name="Sync")
    assert keys_beyond_rights() == [key]
    assert "API keys to decide on" in text_of(client.get("/admin/"))
    listed = text_of(client.get(f"{KEYS}?state=beyond"))
    assert "Sync" in listed
    assert "On the server" not in listed
    assert "Lacks permissions for: Everything" in text_of(client.get(f"{KEYS}{key.pk}/change/"))
    submit(client, url("events_apikey_take_over", key.pk), reason="Mia left")
    key.refresh_from_db()
    assert key.responsible == owner
    assert keys_beyond_rights() == []
    assert "API keys to decide on" not in text_of(client.get("/admin/"))


def test_a_key_of_a_deactivated_colleague_is_to_be_decided_on():
    maker, _ = colleague("Owner")
    key, _ = make_key("Sync", scopes=["read"], created_by=maker)
    maker.is_active = False
    maker.save()
    assert keys_beyond_rights() == [key]


def test_no_one_takes_responsibility_for_more_than_they_may_do():
    maker, _ = colleague("Owner")
    key, _ = make_key("Sync", created_by=maker)
    _, client = colleague("Operations")
    response = submit(client, url("events_apikey_take_over", key.pk), reason="Mine now")
    assert "Your permissions don't include all that “Everything” allows" in text_of(response)
    key.refresh_from_db()
    assert key.responsible == maker


def test_a_key_that_a_key_creates_has_the_same_colleague_behind_it():
    owner, _ = colleague("Owner")
    _, secret = make_key("Deploys", created_by=owner)
    response = Client(headers={"x-api-key": secret}).post(
        "/v1/secrets/api/keys", {"name": "Child", "scopes": ["read"]}, content_type="application/json"
    )
    assert response.status_code == 201
    assert ApiKey.objects.get(name="Child").responsible == owner
    rotated, _ = rotate(ApiKey.objects.get(name="Child"), now=timezone.now())
    assert rotated.responsible == owner


def test_an_owner_cant_become_a_superuser_or_grant_what_they_lack():
    owner, client = colleague("Owner")
    beyond = Group.objects.create(name="Beyond")
    beyond.permissions.set(Permission.objects.filter(codename="delete_session"))
    page = f"/admin/auth/user/{owner.pk}/change/"
    form = {"username": owner.username, "is_active": "on", "is_staff": "on", "date_joined_0": "2026-01-01"}
    client.post(page, form | {"is_superuser": "on", "groups": [owner.groups.get().pk]})
    client.post(page, form | {"groups": [owner.groups.get().pk, beyond.pk]})
    owner.refresh_from_db()
    assert not owner.is_superuser
    assert [group.name for group in owner.groups.all()] == ["Owner"]
    response = client.post(
        "/admin/auth/user/add/", {"first_name": "Eve", "email": "eve@example.com", "role": str(beyond.pk)}
    )
    assert list(response.context_data["adminform"].form.errors) == ["role"]


READING = {
    "config.view_approval",
    "config.view_approvalrule",
    "config.view_alarm",
    "config.view_backup",
    "config.view_webhookendpoint",
    "config.view_webhookdelivery",
}


@pytest.mark.parametrize("name", sorted(READING))
def test_a_key_reads_no_approvals_alarms_backups_or_webhooks_that_its_colleague_may_not_see(name):
    role = Group.objects.get(name="Viewer")
    role.permissions.remove(Permission.objects.get(content_type__app_label="config", codename=name[7:]))
    assert "read" in missing_scopes(colleague("Viewer")[0], ["read"])


def make_helpdesk(*extra):
    role = Group.objects.create(name="Helpdesk")
    names = [f"{action}_{model}" for action in ("view", "change", "delete") for model in ("user", "group")]
    role.permissions.set(Permission.objects.filter(codename__in=[*names, *extra]))
    return colleague("Helpdesk")


def test_a_deactivated_owner_has_an_owners_rights_when_it_is_about_their_account():
    owner, _ = colleague("Owner")
    User.objects.filter(pk=owner.pk).update(is_active=False)
    _, helpdesk = make_helpdesk()
    page = f"/admin/auth/user/{owner.pk}"
    response = submit(helpdesk, f"{page}/password-link/", reason="Please")
    assert response.status_code == 403
    assert helpdesk.post(f"{page}/password/", {"password1": "a", "password2": "a"}).status_code == 403
    form = {"username": owner.username, "is_active": "on", "is_staff": "on", "date_joined_0": "2026-01-01"}
    assert helpdesk.post(f"{page}/change/", form).status_code == 403
    assert helpdesk.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    owner.refresh_from_db()
    assert not owner.is_active


def test_a_deactivated_colleague_gets_no_password_link():
    viewer, _ = colleague("Viewer")
    User.objects.filter(pk=viewer.pk).update(is_active=False)
    _, client = colleague("Owner")
    response = submit(client, f"/admin/auth/user/{viewer.pk}/password-link/", reason="Please")
    assert "This colleague can't sign in. Activate the account first." in text_of(response)
    assert "set-password" not in response.content.decode()


def test_no_one_deletes_a_role_that_allows_more_than_they_may_do():
    _, helpdesk = make_helpdesk()
    small = Group.objects.create(name="Small")
    owner = Group.objects.get(name="Owner")
    assert helpdesk.post(f"/admin/auth/group/{owner.pk}/delete/", {"post": "yes"}).status_code == 403
    several = {"action": "delete_selected", "_selected_action": [owner.pk, small.pk], "post": "yes"}
    helpdesk.post("/admin/auth/group/", several)
    assert Group.objects.filter(name__in=["Owner", "Small"]).count() == 2
    helpdesk.post(f"/admin/auth/group/{small.pk}/delete/", {"post": "yes"})
    assert not Group.objects.filter(name="Small").exists()


def test_a_role_that_requires_a_second_factor_is_removed_from_the_rules_before_it_is_deleted():
    rules, _ = SignInRules.objects.get_or_create(pk=1)
    finance = Group.objects.get(name="Finance")
    rules.second_factor_roles.set([finance])
    _, client = colleague("Owner")
    page = f"/admin/auth/group/{finance.pk}/delete/"
    says = "Sign-in rules: the role Finance requires a second factor. Remove it there first."
    assert says in text_of(client.get(page))
    assert says in text_of(client.post(page, {"post": "yes"}))
    assert Group.objects.filter(name="Finance").exists()
    rules.second_factor_roles.clear()
    client.post(page, {"post": "yes"})
    assert not Group.objects.filter(name="Finance").exists()


def test_an_owner_gets_no_password_link_of_a_superuser():
    superuser = make_user(is_superuser=True)
    _, client = colleague("Owner")
    response = submit(client, f"/admin/auth/user/{superuser.pk}/password-link/", reason="Please")
    assert response.status_code == 403
    assert "set-password" not in response.content.decode()
    assert (
        client.post(f"/admin/auth/user/{superuser.pk}/password/", {"password1": "a", "password2": "a"}).status_code
        == 403
    )


def test_a_refused_form_says_why_and_keeps_what_was_typed(staff_client):
    coupon = make_coupon(10, code="ONCE", max_redemptions=1)
    first, second = make_customer(external_id="first"), make_customer(external_id="second")
    add = "/admin/billing/couponapplication/add/"
    staff_client.post(add, {"coupon": coupon.pk, "customer": first.pk, "reason": "Promised"})
    response = staff_client.post(add, {"coupon": coupon.pk, "customer": second.pk, "reason": "Promised, too"})
    assert response.status_code == 200
    assert "ONCE can't be applied again: its limit is 1." in text_of(response)
    assert "Promised, too" in response.content.decode()
    assert CouponApplication.objects.count() == 1


@pytest.mark.parametrize("lookup", ["secret__startswith", "secret__regex", "url__regex", "old_secret", "secret__gt"])
def test_a_viewer_cant_search_webhooks_by_their_secret(lookup):
    create_endpoint(by=None, url="https://example.com/hooks")
    response = as_viewer("config").get("/admin/config/webhookendpoint/", {lookup: "w"})
    assert response.status_code == 400


def test_no_list_accepts_a_lookup_that_it_doesnt_declare(rf):
    request = rf.get("/")
    request.user = make_user()
    for model, model_admin in admin.site._registry.items():
        names = [field.name for field in model._meta.get_fields() if isinstance(field, models.Field)]
        for name in names:
            for suffix in ("startswith", "regex", "iregex", "contains", "endswith"):
                assert not model_admin.lookup_allowed(f"{name}__{suffix}", "x", request), (model, name, suffix)


def test_staff_without_permissions_can_export_no_list():
    client = Client()
    client.force_login(make_user())
    for model in admin.site._registry:
        prefix = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        for address in (f"{prefix}?_export=csv", f"{prefix}?_export=xlsx", f"{prefix}export/"):
            assert client.get(address).status_code in (403, 404, 302), address
            assert client.post(address).status_code in (403, 404, 405, 302), address


@pytest.mark.parametrize(
    ("role", "may_send"), [("Viewer", False), ("Finance", False), ("Operations", True), ("Owner", True)]
)
def test_roles_that_fix_events_can_send_a_test_event(role, may_send):
    assert colleague(role)[1].get(url("events_dry_run")).context_data["may_send"] is may_send


def test_an_address_opened_by_a_link_changes_nothing(staff_client):
    endpoint = create_endpoint(by=None, url="https://example.com/hooks")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET TRANSACTION READ ONLY")
        for address in (
            url("config_webhookendpoint_send_test_message", endpoint.pk),
            url("auth_user_new_password_link", staff_client.session["_auth_user_id"]),
        ):
            assert staff_client.get(address).status_code == 200
