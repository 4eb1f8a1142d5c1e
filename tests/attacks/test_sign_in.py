"""No one gets in by guessing, by going around the second factor, or with a session that was left open."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from allauth.mfa.models import Authenticator
from auditlog.models import LogEntry
from django.db import connection
from django.test import Client

from config.approvals.kinds import ApprovalKind
from config.approvals.models import Approval, ApprovalRule
from config.signin.confirming import CONFIRMED_AT
from config.signin.models import SignInEvent, SignInRules, StaffSession
from events.access.keys import make_key
from events.models import ApiKey
from tests.admin_pages import submit, text_of, url
from tests.approving import require
from tests.billing.invoices import make_finalized
from tests.sign_in import FAST, LOGIN, PASSWORD, CountingHasher, add_app, code_of, colleague, is_in, sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fast_passwords(settings):
    settings.PASSWORD_HASHERS = FAST


def kinds():
    return list(SignInEvent.objects.order_by("pk").values_list("kind", "detail"))


# --- guessing ----------------------------------------------------------------------------------------


def test_after_ten_failures_no_password_is_checked_and_the_page_says_when_to_try_again():
    colleague(username="mia")
    for number in range(10):
        assert sign_in(Client(), "mia", f"guess-{number}").status_code == 200
    CountingHasher.hashed = 0
    client = Client()
    response = sign_in(client, "mia")
    assert (response.status_code, CountingHasher.hashed) == (429, 0)
    assert 880 < int(response.headers["Retry-After"]) <= 901
    assert re.search(r"Try again at \d\d:\d\d UTC, in 15 minutes\.", text_of(response))
    assert not is_in(client)
    for _ in range(3):
        sign_in(Client(), "mia")
    assert kinds() == [("failed", "Wrong password")] * 10 + [("locked", "Too many attempts")]


def test_both_names_of_an_account_count_together_in_any_case():
    colleague(username="mia", email="mia@larkspur.example")
    for number in range(10):
        sign_in(Client(), ["mia", "MIA@larkspur.example", "Mia"][number % 3], "guess")
    assert sign_in(Client(), "mia@larkspur.example").status_code == 429


def test_an_address_is_locked_after_thirty_failures_of_any_names_and_others_are_not():
    colleague(username="mia")
    for number in range(30):
        assert sign_in(Client(REMOTE_ADDR="198.51.100.7"), f"name-{number}", "guess").status_code == 200
    assert sign_in(Client(REMOTE_ADDR="198.51.100.7"), "mia").status_code == 429
    assert sign_in(Client(REMOTE_ADDR="198.51.100.8"), "mia").status_code == 302


def test_a_stranger_gets_no_other_address_by_a_forwarded_header():
    colleague(username="mia")
    for number in range(30):
        sign_in(
            Client(REMOTE_ADDR="198.51.100.7"), f"name-{number}", "x", headers={"X-Forwarded-For": f"10.0.0.{number}"}
        )
    response = sign_in(Client(REMOTE_ADDR="198.51.100.7"), "mia", headers={"X-Forwarded-For": "203.0.113.9"})
    assert response.status_code == 429
    assert set(SignInEvent.objects.values_list("address", flat=True)) == {"198.51.100.7"}


def test_signing_in_with_an_own_account_in_between_doesnt_reset_the_count():
    colleague(username="mia")
    colleague(username="eve")
    for _ in range(10):
        sign_in(Client(), "mia", "guess")
        sign_in(Client(), "eve")
    assert sign_in(Client(), "mia").status_code == 429


@pytest.mark.parametrize(
    "name", ["mia", "mia@larkspur.example", "inactive", "client", "new", "no-one", "no-one@x.example"]
)
def test_every_failure_says_the_same_and_takes_one_check(name):
    colleague(username="mia", email="mia@larkspur.example")
    colleague(username="inactive", is_active=False)
    colleague(username="client", is_staff=False)
    new = colleague(username="new")
    new.set_unusable_password()
    new.save()
    CountingHasher.hashed = 0
    response = sign_in(Client(), name, "guess")
    assert (response.status_code, CountingHasher.hashed) == (200, 1)
    assert "The name or the password is wrong." in text_of(response)


@pytest.mark.parametrize("values", [{"is_active": False}, {"is_staff": False}])
def test_only_active_staff_sign_in_and_a_session_ends_with_the_role(values):
    user = colleague(username="mia")
    client = Client()
    sign_in(client, "mia")
    assert is_in(client)
    for name, value in values.items():
        setattr(user, name, value)
    user.save()
    assert not is_in(client)
    assert "The name or the password is wrong." in text_of(sign_in(Client(), "mia"))
    assert kinds()[-1] == ("failed", "Not active staff")


def test_a_name_that_belongs_to_no_one_is_not_stored_because_it_may_be_a_password():
    sign_in(Client(), PASSWORD, "mia")
    event = SignInEvent.objects.get()
    assert (event.kind, event.detail, event.username, event.user) == ("failed", "Unknown name", "", None)


@pytest.mark.parametrize("name", ["\x00mia", "m" * 5_000, "mia\ud800"])
def test_odd_names_and_headers_are_failures_like_others(name):
    agent = "x" * 5_000
    assert sign_in(Client(), name.encode("utf-8", "surrogatepass").decode("utf-8", "replace"), "x").status_code == 200
    assert sign_in(Client(), "mia", "x", headers={"User-Agent": agent}).status_code == 200
    assert len(SignInEvent.objects.latest("pk").user_agent) == 300


@pytest.mark.django_db(transaction=True)
def test_twenty_attempts_at_once_check_at_most_ten_passwords():
    colleague(username="mia")
    CountingHasher.hashed = 0
    start = threading.Barrier(20)

    def guess(number):
        start.wait()
        try:
            return sign_in(Client(), "mia", f"guess-{number}").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(guess, range(20)))
    assert set(statuses) <= {200, 429}
    assert statuses.count(429) >= 10
    assert CountingHasher.hashed <= 10


def test_the_sign_in_leads_to_no_other_site():
    colleague(username="mia")
    for target in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        client = Client()
        response = client.post(f"{LOGIN}?next={target}", {"login": "mia", "password": PASSWORD, "next": target})
        assert response.headers["Location"] == "/admin/"
        assert client.get(f"{LOGIN}?next={target}").headers["Location"] == "/admin/"


def test_strangers_get_few_challenges_for_passkeys_and_each_is_a_row():
    statuses = [Client().get(f"{LOGIN}passkey/", headers={"Accept": "application/json"}).status_code for _ in range(15)]
    assert statuses == [200] * 10 + [429] * 5
    assert StaffSession.objects.count() == 10


# --- the second factor -------------------------------------------------------------------------------


def test_the_password_alone_opens_nothing_and_a_code_works_once():
    secret = add_app(colleague(username="mia"))
    client = Client()
    assert sign_in(client, "mia").headers["Location"] == f"{LOGIN}code/"
    assert not is_in(client)
    code = code_of(secret)
    assert client.post(f"{LOGIN}code/", {"code": code}).headers["Location"] == "/admin/"
    assert is_in(client)
    assert SignInEvent.objects.latest("pk").detail == "Password and authenticator app"
    other = Client()
    sign_in(other, "mia")
    assert "The code is wrong, or was used already." in text_of(other.post(f"{LOGIN}code/", {"code": code}))
    assert not is_in(other)


def test_codes_cant_be_guessed_either():
    secret = add_app(colleague(username="mia"))
    client = Client()
    sign_in(client, "mia")
    for _ in range(10):
        client.post(f"{LOGIN}code/", {"code": "000000"})
    response = client.post(f"{LOGIN}code/", {"code": code_of(secret)})
    assert "There were too many attempts. Try again in 15 minutes." in text_of(response)
    assert not is_in(client)
    assert kinds()[:10] == [("failed", "Wrong code")] * 10


def test_a_password_link_doesnt_go_around_the_second_factor(staff_client):
    mia = colleague(username="mia")
    secret = add_app(mia)
    response = submit(staff_client, f"/admin/auth/user/{mia.pk}/password-link/", reason="Forgotten")
    link = re.search(r'value="http://testserver(/set-password/[^"]+)"', response.content.decode())[1]
    client = Client()
    address = client.get(link).headers["Location"]
    new = {"new_password1": "another-horse-battery", "new_password2": "another-horse-battery"}
    assert client.post(address, new).headers["Location"] == f"{LOGIN}code/"
    assert not is_in(client)
    client.post(f"{LOGIN}code/", {"code": code_of(secret)})
    assert is_in(client)


@pytest.mark.parametrize(
    "path",
    [
        "/admin/",
        "/admin/billing/invoice/",
        "/admin/search/?s=a",
        "/admin/events/apikey/add/",
        "/admin/auth/user/?_export=csv",
    ],
)
def test_a_role_that_requires_a_second_factor_opens_nothing_before_there_is_one(path):
    mia = colleague("Owner", username="mia")
    SignInRules.objects.create().second_factor_roles.add(mia.groups.get())
    client = Client()
    sign_in(client, "mia")
    for response in (client.get(path), client.post(path, {})):
        assert (response.status_code, response.headers["Location"]) == (302, "/admin/account/")
    fragment = client.get(path, headers={"HX-Request": "true"})
    assert fragment.headers["HX-Redirect"] == "/admin/account/"
    assert "Set up a second factor to continue." in text_of(client.get("/admin/account/"))


def test_a_rule_applies_to_open_sessions_within_a_minute():
    mia = colleague("Finance", username="mia")
    client = Client()
    sign_in(client, "mia")
    assert is_in(client)
    SignInRules.objects.create().second_factor_roles.add(mia.groups.get())
    make_older(client, seconds=61)
    assert client.get("/admin/").headers["Location"] == "/admin/account/"


def test_secrets_of_second_factors_are_encrypted_at_rest():
    mia = colleague(username="mia")
    secret = add_app(mia)
    stored = json.dumps(Authenticator.objects.get().data)
    assert secret not in stored
    assert "enc1:" in stored


# --- sessions ----------------------------------------------------------------------------------------


def make_older(client, *, seconds=0, minutes=0, hours=0):
    """Move the times of a client's session into the past: its last use, or with hours its sign-in."""
    column = "signed_in_at" if hours else "last_seen_at"
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE config_staffsession SET {column} = {column} - make_interval(hours => %s, mins => %s, secs => %s)"
            " WHERE session_key = %s",
            [hours, minutes, seconds, client.cookies["sessionid"].value],
        )


@pytest.mark.parametrize(
    ("age", "lasts"), [({"minutes": 59}, True), ({"minutes": 61}, False), ({"hours": 11}, True), ({"hours": 13}, False)]
)
def test_a_session_ends_after_an_hour_without_use_and_after_twelve_hours(age, lasts):
    colleague(username="mia")
    client = Client()
    sign_in(client, "mia")
    make_older(client, **age)
    assert is_in(client) == lasts


def test_a_shorter_rule_applies_to_open_sessions_at_once():
    colleague(username="mia")
    client = Client()
    sign_in(client, "mia")
    make_older(client, minutes=16)
    SignInRules.objects.create(idle_minutes=15)
    assert not is_in(client)


def test_use_keeps_a_session_alive_and_is_written_once_a_minute(django_assert_num_queries):
    colleague(username="mia")
    client = Client()
    sign_in(client, "mia")
    for _ in range(3):
        make_older(client, minutes=40)
        assert is_in(client)
    seen = StaffSession.objects.get(user__username="mia").last_seen_at
    client.get("/admin/")
    assert StaffSession.objects.get(user__username="mia").last_seen_at == seen


def test_a_copied_cookie_is_worth_nothing_after_signing_out():
    colleague(username="mia")
    client, thief = Client(), Client()
    sign_in(client, "mia")
    thief.cookies["sessionid"] = client.cookies["sessionid"].value
    assert is_in(thief)
    client.post("/admin/logout/")
    assert not is_in(thief)
    assert kinds()[-1] == ("signed_out", "")


def test_a_link_signs_no_one_out_and_no_page_shows_a_session_key():
    colleague(username="mia")
    client = Client()
    sign_in(client, "mia")
    assert client.get("/admin/logout/").status_code == 405
    for path in (f"{LOGIN}confirm/again/?next=/admin/", "/admin/account/sessions/end/"):
        client.get(path)
        assert is_in(client)
    assert client.cookies["sessionid"].value not in client.get("/admin/account/").content.decode()


def test_the_session_gets_a_new_key_when_someone_signs_in():
    colleague(username="mia")
    client = Client()
    client.get(f"{LOGIN}passkey/", headers={"Accept": "application/json"})
    before = client.cookies["sessionid"].value
    sign_in(client, "mia")
    assert client.cookies["sessionid"].value != before


def test_no_one_ends_the_sessions_of_a_colleague_through_their_own_page():
    colleague(username="mia")
    colleague("Viewer", username="eve")
    mia, eve = Client(), Client()
    sign_in(mia, "mia")
    sign_in(eve, "eve")
    shown = re.findall(r'name="session" value="(\w+)"', mia.get("/admin/account/").content.decode())
    eve.post("/admin/account/sessions/end/", {"session": (shown or ["x"])[0]})
    eve.post("/admin/account/sessions/end/")
    assert is_in(mia)


# --- confirmation ------------------------------------------------------------------------------------


def unconfirmed(user, *, minutes=46):
    """Return a client that signed in so long ago that a dialog's time to type is over, too."""
    client = Client()
    client.force_login(user)
    session = client.session
    session[CONFIRMED_AT] -= minutes * 60
    session.save()
    return client


def protected(owner):
    key, _ = make_key("Sync", created_by=owner)
    return [
        *(url("events_apikey_add"), url("events_apikey_rotate_key", key.pk), url("config_webhookendpoint_add")),
        *(
            url("auth_user_add"),
            url("auth_user_new_password_link", owner.pk),
            url("auth_user_reset_second_factor", owner.pk),
        ),
        *(url("auth_group_add"), url("auth_user_password_change", owner.pk), url("auth_user_delete", owner.pk)),
        *("/admin/account/app/", "/admin/account/passkeys/add/"),
    ]


def test_a_session_that_was_left_open_neither_opens_nor_sends_what_is_protected():
    owner = colleague(username="mia")
    for address in protected(owner):
        client = unconfirmed(owner)
        opened, sent = client.get(address), client.post(address, {"reason": "Mine now"})
        for response in (opened, sent):
            assert response.status_code == 302, address
            assert response.headers["Location"].startswith(f"{LOGIN}confirm/?next="), address
        dialog = submit(client, address, reason="Mine now")
        if "/account/" in address:
            continue  # pages of their own, without a dialog
        assert dialog.headers["HX-Redirect"].startswith(f"{LOGIN}confirm/?next="), address
    assert ApiKey.objects.count() == 1


def test_changes_of_staff_roles_and_rules_ask_first_and_continue_with_what_was_typed():
    owner = colleague(username="mia")
    SignInRules.objects.create()
    client = unconfirmed(owner)
    page = url("config_signinrules_change", 1)
    assert client.get(page).status_code == 200
    asked = client.post(page, {"idle_minutes": "20", "longest_hours": "8", "confirmed_minutes": "10"})
    assert SignInRules.objects.get().idle_minutes == 60
    wrong = client.post(asked.headers["Location"], {"password": "guess", "next": page})
    assert "The password is wrong." in text_of(wrong)
    client.post(asked.headers["Location"], {"password": PASSWORD, "next": page})
    assert SignInRules.objects.get().idle_minutes == 20
    assert [kind for kind, _ in kinds()][-2:] == ["confirmation_failed", "confirmed"]
    assert LogEntry.objects.filter(object_repr="Sign-in rules", actor=owner).exists()


def test_a_session_that_was_left_open_neither_approves_nor_relaxes_a_rule():
    owner, requester = colleague(username="mia"), colleague(username="ben")
    require(ApprovalKind.VOID)
    invoice = make_finalized("120")
    void_page = url("billing_invoice_void_one", invoice.pk)
    submit(unconfirmed(requester, minutes=0), void_page, reason="Billed twice")
    client, approval = unconfirmed(owner), Approval.objects.get()
    asked = submit(client, url("config_approval_approve_one", approval.pk), reason="Fine")
    assert asked.headers["HX-Redirect"].startswith(f"{LOGIN}confirm/?next=")
    rule = ApprovalRule.objects.get(kind=ApprovalKind.VOID)
    body = {"mode": "off", "expires_days": "7", "reason": "Not needed"}
    asked = client.post(url("config_approvalrule_change", rule.pk), body)
    assert asked.headers["Location"].startswith(f"{LOGIN}confirm/?next=")
    invoice.refresh_from_db()
    rule.refresh_from_db()
    assert (invoice.state, rule.mode) == ("finalized", "always")


def test_a_confirmation_lasts_as_long_as_the_rules_say():
    owner = colleague(username="mia")
    assert unconfirmed(owner, minutes=29).get(url("events_apikey_add")).status_code == 200
    assert unconfirmed(owner, minutes=31).get(url("events_apikey_add")).status_code == 302
    SignInRules.objects.create(confirmed_minutes=5)
    assert unconfirmed(owner, minutes=6).get(url("events_apikey_add")).status_code == 302


def test_confirmations_cant_be_guessed():
    owner = colleague(username="mia")
    client = unconfirmed(owner)
    for _ in range(10):
        client.post(f"{LOGIN}confirm/", {"password": "guess"})
    CountingHasher.hashed = 0
    assert client.post(f"{LOGIN}confirm/", {"password": PASSWORD}).status_code == 429
    assert CountingHasher.hashed == 0


# --- the log -----------------------------------------------------------------------------------------


def test_only_owners_and_keys_with_all_scopes_read_the_log(api):
    sign_in(Client(), "mia", "guess")
    viewer, owner = Client(), Client()
    viewer.force_login(colleague("Viewer"))
    owner.force_login(colleague("Owner"))
    reader = Client(headers={"x-api-key": make_key("Reader", scopes=["read"])[1]})
    for path in ("", "?_export=csv"):
        assert viewer.get(f"/admin/config/signinevent/{path}").status_code == 403
        assert owner.get(f"/admin/config/signinevent/{path}").status_code == 200
    assert reader.get("/v1/sign-ins").status_code == 403
    assert api.get("sign-ins?event=failed")["items"][0]["detail"] == "Unknown name"
