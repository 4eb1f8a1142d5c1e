"""Passkeys in Chromium, and axe on every page of the sign-in in light and dark mode."""

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from config.signin.models import SignInEvent, SignInRules
from tests.browser import AdminBrowser
from tests.scenarios.test_accessibility import violations
from tests.sign_in import FAST, PASSWORD, add_app, colleague, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def fast_passwords(settings):
    settings.PASSWORD_HASHERS = FAST


def add_device(page: Page) -> None:
    """Give the browser a device that holds passkeys and always says that the user is there."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def submit_form(page: Page, name: str) -> None:
    with page.expect_navigation(wait_until="load"):
        page.get_by_role("button", name=name, exact=True).click()


def test_a_passkey_signs_in_alone_and_confirms(admin_browser: AdminBrowser, staff_user) -> None:
    page = admin_browser.page
    add_device(page)
    admin_browser.open("/admin/account/passkeys/add/")
    page.get_by_label("Name").fill("Laptop")
    page.get_by_label("Passwordless").check()
    submit_form(page, "Create passkey")
    expect(page.get_by_text("Keep these codes")).to_be_visible()

    admin_browser.open("/admin/")
    page.get_by_role("button", name="staff@example.com").click()
    submit_form(page, "Sign out")
    submit_form(page, "Sign in with a passkey")
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    assert SignInEvent.objects.latest("pk").detail == "Passkey"

    admin_browser.open("/admin/login/confirm/passkey/?next=/admin/account/")
    submit_form(page, "Use a passkey")
    expect(page.get_by_text("Passkey “Laptop”").first).to_be_visible()
    assert SignInEvent.objects.latest("pk").kind == "confirmed"


def test_a_passkey_follows_the_password_as_second_factor(admin_browser: AdminBrowser, staff_user) -> None:
    staff_user.set_password(PASSWORD)
    staff_user.save()
    page = admin_browser.page
    page.context.clear_cookies()
    add_device(page)
    admin_browser.open("/admin/login/?next=/admin/account/passkeys/add/")
    page.get_by_label("Username or email address").fill("staff")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Password").press("Enter")
    submit_form(page, "Create passkey")
    page.context.clear_cookies()
    admin_browser.open("/admin/login/")
    page.get_by_label("Username or email address").fill("staff")
    page.get_by_label("Password").fill(PASSWORD)
    submit_form(page, "Sign in")
    submit_form(page, "Use a passkey")
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    assert SignInEvent.objects.latest("pk").detail == "Password and passkey"


def use_session_of(browser: AdminBrowser, client: Client) -> None:
    browser.page.context.clear_cookies()
    value = client.cookies["sessionid"].value
    browser.page.context.add_cookies([{"name": "sessionid", "value": value, "url": browser.url}])


def test_axe_finds_nothing_on_the_pages_of_the_sign_in(admin_browser: AdminBrowser, staff_user) -> None:
    found = {}

    def check(path: str) -> None:
        found[path] = violations(admin_browser.open(path))

    for path in ("account/", "account/app/", "account/passkeys/add/"):
        check(f"/admin/{path}")
    for path in ("config/signinevent/", "config/signinrules/1/change/", "auth/group/", "auth/user/add/"):
        check(f"/admin/{path}")
    add_app(staff_user)
    check("/admin/account/codes/new/")
    admin_browser.page.get_by_role("button", name="Create new codes").click()
    expect(admin_browser.page.get_by_text("Keep these codes")).to_be_visible()
    found["codes"] = violations(admin_browser.page)
    for path in ("account/app/remove/", "login/confirm/", "login/confirm/code/", "login/confirm/again/"):
        check(f"/admin/{path}")
    admin_browser.page.context.clear_cookies()
    check("/admin/login/")
    mia = colleague("Finance", username="mia")
    SignInRules.objects.create().second_factor_roles.add(mia.groups.get())
    client = Client()
    sign_in(client, "mia")
    use_session_of(admin_browser, client)
    check("/admin/account/")
    add_app(mia)
    sign_in(waiting := Client(), "mia")
    use_session_of(admin_browser, waiting)
    check("/admin/login/code/")
    assert {path: results for path, results in found.items() if results} == {}
