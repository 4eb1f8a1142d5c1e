"""Sign-in and security, the sign-in log, the rules, and a colleague's page."""

from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from auditlog.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from config.db.encrypted import decrypt_text
from config.installation.roles import ROLES
from config.signin.factors import encrypt_factors_again
from config.signin.log import prune_log
from config.signin.models import SignInEvent, SignInRules, StaffSession
from config.signin.sessions import prune_sessions
from tests.admin_pages import submit, text_of, url
from tests.sign_in import FAST, LOGIN, PASSWORD, add_app, code_of, colleague, is_in, secret_on, sign_in

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture(autouse=True)
def fast_passwords(settings):
    settings.PASSWORD_HASHERS = FAST


def signed_in(user, agent=FIREFOX):
    client = Client(headers={"user-agent": agent})
    sign_in(client, user.username)
    assert is_in(client)
    return client


def details(kind):
    return list(SignInEvent.objects.filter(kind=kind).order_by("pk").values_list("detail", flat=True))


def test_an_authenticator_app_is_added_with_recovery_codes_that_are_shown_once(
    django_capture_on_commit_callbacks,
):
    mia = colleague("Finance", username="mia")
    SignInRules.objects.create().second_factor_roles.add(mia.groups.get())
    client = Client()
    sign_in(client, "mia")
    page = client.get("/admin/account/app/")
    assert "<svg" in page.content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        added = client.post("/admin/account/app/", {"code": code_of(secret_on(page))})
    assert added.headers["Location"] == "/admin/account/codes/"
    codes = client.get("/admin/account/codes/").context_data["unused_codes"]
    assert len(set(codes)) == 10
    assert not set(codes) & set(text_of(client.get("/admin/account/codes/")).split())
    assert is_in(client)
    assert details("factor_added") == ["Authenticator app"]
    assert LogEntry.objects.filter(object_repr="mia", changes__has_key="second factor").exists()

    other = Client()
    sign_in(other, "mia")
    other.post(f"{LOGIN}code/", {"code": codes[0]})
    assert is_in(other)
    assert details("signed_in")[-1] == "Password and recovery code"
    assert "9 left" in text_of(client.get("/admin/account/"))


def test_a_required_second_factor_that_is_removed_is_set_up_again(django_capture_on_commit_callbacks):
    mia = colleague("Finance", username="mia")
    SignInRules.objects.create().second_factor_roles.add(mia.groups.get())
    secret = add_app(mia)
    client = Client()
    sign_in(client, "mia")
    client.post(f"{LOGIN}code/", {"code": code_of(secret)})
    client.post("/admin/account/app/remove/")
    assert not Authenticator.objects.exists()
    assert details("factor_removed") == ["Authenticator app"]
    assert client.get("/admin/").headers["Location"] == "/admin/account/"


def test_colleagues_see_where_they_are_signed_in_and_sign_out_there():
    mia = colleague(username="mia")
    here, phone, office = signed_in(mia), signed_in(mia, "Safari/605 iPhone"), signed_in(mia, "Edg/140 Windows")
    page = text_of(here.get("/admin/account/"))
    for words in ("Firefox on Linux This one", "Safari on iPhone", "Edge on Windows"):
        assert words in page
    sessions = here.get("/admin/account/").context_data["sessions"]
    on_phone = next(session["id"] for session in sessions if session["browser"] == "Safari on iPhone")
    here.post("/admin/account/sessions/end/", {"session": on_phone})
    assert (is_in(here), is_in(phone), is_in(office)) == (True, False, True)
    here.post("/admin/account/sessions/end/")
    assert (is_in(here), is_in(office)) == (True, False)
    assert details("sessions_ended") == ["1 other", "1 other"]


def test_an_owner_signs_a_colleague_out_everywhere(staff_client, staff_user):
    mia = colleague("Finance", username="mia")
    client = signed_in(mia)
    page = text_of(staff_client.get(url("auth_user_change", mia.pk)))
    assert "Firefox on Linux" in page
    assert "Second factor: none." in page
    submit(staff_client, url("auth_user_sign_out_everywhere", mia.pk), reason="Lost laptop")
    assert not is_in(client)
    assert "Not signed in anywhere." in text_of(staff_client.get(url("auth_user_change", mia.pk)))
    entry = LogEntry.objects.filter(object_repr="mia", changes__has_key="sessions").get()
    assert (entry.actor, entry.additional_data["reason"]) == (staff_user, "Lost laptop")


def test_an_owner_removes_the_second_factor_of_a_colleague_who_lost_the_phone(staff_client):
    mia = colleague("Finance", username="mia")
    add_app(mia)
    client = Client()
    submit(staff_client, url("auth_user_reset_second_factor", mia.pk), reason="Lost phone")
    sign_in(client, "mia")
    assert is_in(client)
    assert details("factor_removed") == ["Authenticator app, by staff"]


def test_an_owner_cant_reset_a_superuser(staff_user):
    owner = signed_in(colleague("Owner", username="mia"))
    for action in ("auth_user_sign_out_everywhere", "auth_user_reset_second_factor", "auth_user_new_password_link"):
        assert submit(owner, url(action, staff_user.pk), reason="Please").status_code == 403


def test_each_way_of_changing_a_password_is_in_both_logs(staff_client, monkeypatch):
    mia = colleague(username="mia")
    own = signed_in(mia)
    new = {"new_password1": "another-horse-battery", "new_password2": "another-horse-battery"}
    assert own.post("/admin/password_change/", {"old_password": PASSWORD} | new).status_code == 302
    assert is_in(own)
    passwords = {"password1": "battery-horse-correct", "password2": "battery-horse-correct"}
    assert staff_client.post(url("auth_user_password_change", mia.pk), passwords).status_code == 302
    answers = iter(["horse-battery-correct"] * 2)
    monkeypatch.setattr("getpass.getpass", lambda **kwargs: next(answers))
    call_command("changepassword", "mia", verbosity=0)
    assert details("password_changed") == ["", "By staff", "On the server"]
    entries = LogEntry.objects.filter(object_repr="mia", changes__has_key="password").order_by("pk")
    assert [entry.actor and entry.actor.username for entry in entries][-3:] == ["mia", "staff", None]


def test_signing_in_with_an_old_hash_is_no_change_of_the_password(settings):
    mia = colleague(username="mia")
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *FAST]
    signed_in(mia)
    assert details("password_changed") == []


def test_the_log_shows_who_from_where_and_with_what(staff_client):
    mia = colleague("Finance", username="mia", first_name="Mia", last_name="Berg")
    signed_in(mia)
    sign_in(Client(), "mia", "guess", headers={"X-Request-Id": "trace-17"})
    row = text_of(staff_client.get("/admin/config/signinevent/?kind__exact=failed"))
    for words in ("Failed", "Mia Berg", "Wrong password", "127.0.0.1"):
        assert words in row
    assert "Signed in Mia Berg" not in row
    event = SignInEvent.objects.get(kind="failed")
    assert "trace-17" in text_of(staff_client.get(url("config_signinevent_change", event.pk)))
    assert "Mia Berg" in text_of(staff_client.get(f"/admin/config/signinevent/?user__id__exact={mia.pk}"))
    file = b"".join(staff_client.get("/admin/config/signinevent/?_export=csv&kind__exact=failed"))
    assert b",failed,mia,Wrong password,127.0.0.1," in file
    assert staff_client.get("/admin/config/signinevent/add/").status_code == 403


def test_old_rows_and_sessions_that_are_over_are_removed(settings, client):
    mia = colleague(username="mia")
    signed_in(mia)
    signed_in(mia)
    now = timezone.now()
    for model, column in ((SignInEvent, "at"), (StaffSession, "last_seen_at")):
        oldest = model.objects.order_by("pk").first()
        model.objects.filter(pk=oldest.pk).update(**{column: now - timedelta(days=401)})
    Session.objects.create(session_key="old", session_data="", expire_date=now - timedelta(days=1))
    events = SignInEvent.objects.count()
    assert prune_log(now=now) == 1
    assert prune_sessions() == 1
    assert (SignInEvent.objects.count(), StaffSession.objects.count(), Session.objects.count()) == (events - 1, 1, 0)
    settings.SIGN_IN_LOG_DAYS = 0
    assert prune_log(now=now + timedelta(days=9_999)) == 0


def test_secrets_of_second_factors_follow_a_new_secret_key(settings):
    secret = add_app(colleague(username="mia"))
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new" * 20, [settings.SECRET_KEY]
    assert encrypt_factors_again() == 1
    settings.SECRET_KEY_FALLBACKS = []
    assert decrypt_text(Authenticator.objects.get().data["secret"]) == secret


@pytest.mark.parametrize(
    ("role", "area", "summary"),
    [
        ("Viewer", "Billing", "View"),
        ("Viewer", "Staff, roles and sign-ins", "–"),
        ("Auditor", "Staff, roles and sign-ins", "View"),
        ("Auditor", "Billing", "View, change some"),
        ("Operations", "Customers", "View, change"),
        ("Finance", "Billing", "View, change"),
        ("Finance", "API keys", "View"),
        ("Owner", "Staff, roles and sign-ins", "View, change"),
    ],
)
def test_roles_are_a_table_of_areas(staff_client, role, area, summary):
    context = staff_client.get("/admin/auth/group/").context_data
    column = [group.name for group in context["roles"]].index(role)
    assert {name: cells[column].summary for name, cells in context["access"]}[area] == summary
    assert len(context["roles"]) == len(ROLES)


def test_a_role_says_which_things_of_an_area_it_can_change(staff_client):
    role = Group.objects.get(name="Finance")
    role.permissions.remove(*role.permissions.filter(codename__in=["add_wallet", "change_wallet", "delete_wallet"]))
    page = text_of(staff_client.get(url("auth_group_change", role.pk)))
    assert "Billing All Some: " in page
    assert "Customers All All" in page


def test_rules_out_of_range_are_refused(staff_client):
    SignInRules.objects.create()
    page = staff_client.post(
        url("config_signinrules_change", 1), {"idle_minutes": "4", "longest_hours": "169", "confirmed_minutes": "0"}
    )
    assert set(page.context_data["adminform"].form.errors) == {"idle_minutes", "longest_hours", "confirmed_minutes"}
    assert SignInRules.objects.get().idle_minutes == 60
