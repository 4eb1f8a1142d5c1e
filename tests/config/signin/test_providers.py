"""Colleagues sign in through an identity provider, which creates no one."""

from urllib.parse import parse_qs, urlsplit

import environ
import pytest
from allauth.socialaccount.models import SocialAccount
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from config.signin.models import SignInEvent, SignInRules
from config.signin.providers import read_providers
from tests.admin_pages import text_of, url
from tests.config.signin.identity_provider import identity_provider
from tests.sign_in import LOGIN, colleague, is_in

pytestmark = pytest.mark.django_db
MIA = {"sub": "0815", "email": "mia@larkspur.example", "email_verified": True}


def configured(settings, address, **more):
    env = environ.Env()
    names = {"OIDC_PROVIDERS": "okta", "OIDC_OKTA_SERVER_URL": address, "OIDC_OKTA_NAME": "Larkspur"}
    env.ENVIRON = names | {"OIDC_OKTA_CLIENT_ID": "us", "OIDC_OKTA_CLIENT_SECRET": "secret"} | more
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": read_providers(env)}}


def sign_in_there(client, code="right"):
    """Follow the button to the provider, and come back with its code."""
    there = urlsplit(client.get(f"{LOGIN}oidc/okta/").headers["Location"])
    assert there.path == "/authorize"
    sent = {name: values[0] for name, values in parse_qs(there.query).items()}
    assert sent["redirect_uri"] == "http://testserver/admin/login/oidc/okta/callback/"
    assert sent["code_challenge_method"] == "S256"
    return client.get(f"{LOGIN}oidc/okta/callback/", {"code": code, "state": sent["state"]}, follow=True)


def test_a_colleague_is_recognized_by_the_verified_address_and_later_by_the_providers_id(settings):
    mia = colleague(username="mia", email="mia@larkspur.example")
    with identity_provider(MIA) as address:
        configured(settings, address)
        assert "Sign in with Larkspur" in text_of(Client().get(LOGIN))
        sign_in_there(first := Client())
        assert is_in(first)
        mia.email = "mia.berg@larkspur.example"
        mia.save()
        sign_in_there(second := Client())
        assert is_in(second)
    mia.refresh_from_db()
    assert mia.has_usable_password()
    assert SocialAccount.objects.get().user == mia
    assert SignInEvent.objects.latest("pk").detail == "Identity provider"


@pytest.mark.parametrize(
    ("person", "code"),
    [
        (MIA | {"email": "stranger@evil.example"}, "right"),
        (MIA | {"email_verified": False}, "right"),
        ({"sub": "0815"}, "right"),
        (MIA, "wrong"),
    ],
)
def test_others_are_refused_and_no_account_is_created(settings, person, code):
    colleague(username="mia", email="mia@larkspur.example")
    with identity_provider(person) as address:
        configured(settings, address)
        page = sign_in_there(client := Client(), code)
    assert not is_in(client)
    assert page.redirect_chain[-1][0] == LOGIN
    assert "Ask an owner" in text_of(page) or "ask an owner" in text_of(page)
    assert not SocialAccount.objects.exists()
    assert SignInEvent.objects.get().kind == "failed"


def test_a_provider_of_the_company_can_be_trusted_with_addresses(settings):
    colleague(username="mia", email="mia@larkspur.example")
    with identity_provider({"sub": "0815", "email": "mia@larkspur.example"}) as address:
        configured(settings, address, OIDC_OKTA_TRUSTS_EMAIL="true")
        sign_in_there(client := Client())
    assert is_in(client)


def test_a_colleague_who_left_is_refused(settings):
    colleague(username="mia", email="mia@larkspur.example", is_active=False)
    with identity_provider(MIA) as address:
        configured(settings, address)
        sign_in_there(client := Client())
    assert not is_in(client)
    assert SignInEvent.objects.get().detail == "Not active staff"


@pytest.mark.parametrize(("trusts", "opens"), [(False, False), (True, True)])
def test_the_providers_second_factor_counts_if_the_rules_say_so(settings, trusts, opens):
    mia = colleague("Finance", username="mia", email="mia@larkspur.example")
    SignInRules.objects.create(trusts_providers=trusts).second_factor_roles.add(mia.groups.get())
    with identity_provider(MIA) as address:
        configured(settings, address)
        sign_in_there(client := Client())
    assert is_in(client) == opens


def test_without_a_password_a_confirmation_is_another_sign_in(settings):
    mia = colleague(username="mia")
    mia.set_unusable_password()
    mia.save()
    SignInRules.objects.create(confirmed_minutes=1)
    client = Client()
    client.force_login(mia)
    session = client.session
    session["confirmed_at"] -= 3600
    session.save()
    asked = client.get(url("events_apikey_add"))
    assert asked.headers["Location"] == "/admin/login/confirm/again/?next=%2Fadmin%2Fevents%2Fapikey%2Fadd%2F"
    assert "sign in again" in text_of(client.get(asked.headers["Location"]))
    left = client.post(asked.headers["Location"], {"next": url("events_apikey_add")})
    assert left.headers["Location"] == "/admin/login/?next=%2Fadmin%2Fevents%2Fapikey%2Fadd%2F"
    assert not is_in(client)


@pytest.mark.parametrize("missing", ["SERVER_URL", "CLIENT_ID", "CLIENT_SECRET"])
def test_an_incomplete_provider_is_refused_at_the_start(missing):
    env = environ.Env()
    env.ENVIRON = {"OIDC_PROVIDERS": "okta", "OIDC_OKTA_SERVER_URL": "https://x.example"}
    env.ENVIRON |= {"OIDC_OKTA_CLIENT_ID": "us", "OIDC_OKTA_CLIENT_SECRET": "secret"}
    del env.ENVIRON[f"OIDC_OKTA_{missing}"]
    with pytest.raises(ImproperlyConfigured, match=f"OIDC_OKTA_{missing}"):
        read_providers(env)


def test_without_providers_there_is_no_button():
    env = environ.Env()
    env.ENVIRON = {}
    assert read_providers(env) == []
    assert "Sign in with a passkey" in text_of(page := Client().get(LOGIN))
    assert "Sign in with Larkspur" not in text_of(page)
