"""What browsers are told: which scripts may run, who may embed a page, which features are off, how cookies are kept."""

import json
import os
import re
import subprocess
import sys

import pytest
from django.conf import settings
from django.test import Client

from tests.config.test_settings import PRODUCTION
from tests.sign_in import sign_in

PAGES = (
    "/admin/login/",
    "/admin/",
    "/admin/account/",
    "/admin/customers/customer/",
    "/v1/docs",
    "/v1/customers",
    "/v1/nowhere",
    "/healthz",
)
ASK = """
import json, django
django.setup()
from django.http import HttpResponse
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.middleware.security import SecurityMiddleware
from django.test import RequestFactory

def page(request):
    return HttpResponse(get_token(request))

request = RequestFactory().get("/", secure=True, headers={"host": "billing.example.com"})
response = SecurityMiddleware(CsrfViewMiddleware(page))(request)
cookies = {name: cookie.OutputString() for name, cookie in response.cookies.items()}
print(json.dumps({"headers": dict(response.headers), "cookies": cookies}))
"""


def policy_of(response) -> dict[str, list[str]]:
    rules = [rule.split() for rule in response.headers["Content-Security-Policy"].split(";")]
    return {name: sources for name, *sources in rules}


@pytest.mark.parametrize("page", PAGES)
def test_every_answer_is_protected_by_the_browser(staff_client, page):
    response = staff_client.get(page)
    headers = response.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    is_form = headers["X-Frame-Options"] == "SAMEORIGIN"  # the admin opens it inside another form
    assert is_form == (page == "/admin/customers/customer/")
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert {"camera=()", "microphone=()", "geolocation=()", "payment=()", "usb=()"} <= set(
        headers["Permissions-Policy"].split(", ")
    )
    policy = policy_of(response)
    assert policy["base-uri"] == ["'none'"]
    assert policy["frame-ancestors"] == ["'self'" if is_form else "'none'"]
    assert "*" not in headers["Content-Security-Policy"]
    assert "http" not in headers["Content-Security-Policy"]


def test_inline_scripts_run_only_with_the_nonce_of_the_request(staff_client):
    policies = [policy_of(staff_client.get("/admin/")) for _ in range(2)]
    for policy in policies:
        assert "'unsafe-inline'" not in policy["script-src"]
        assert policy["default-src"] == policy["connect-src"] == policy["form-action"] == ["'self'"]
        assert policy["object-src"] == policy["worker-src"] == ["'none'"]
    page = staff_client.get("/admin/customers/customer/add/").content.decode()
    inline = re.findall(r"<script(?![^>]*\b(?:src|nonce)=)(?![^>]*type=\"application/json\")[^>]*>", page)
    assert inline == []
    assert re.findall(r"\son[a-z]+=\"", page) == []  # event handlers in attributes


@pytest.mark.parametrize("path", ["/v1/customers", "/v1/nowhere", "/healthz", "/v1/schema?format=json"])
def test_an_answer_with_data_runs_nothing_if_a_browser_opens_it(client, db, path):
    response = client.get(path, headers={"accept": "application/json"})
    assert policy_of(response)["default-src"] == ["'none'"]


def test_an_export_runs_nothing_if_a_browser_opens_it(staff_client):
    response = staff_client.get("/admin/customers/customer/?_export=csv")
    assert policy_of(response)["default-src"] == ["'none'"]
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert response.getvalue()  # a request ends when its answer has been read


def test_pages_of_staff_are_kept_by_no_cache(staff_client):
    assert "no-store" in staff_client.get("/admin/customers/customer/").headers["Cache-Control"]


def test_a_deployment_binds_cookies_to_its_host_and_https():
    asked = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=settings.BASE_DIR,
        env={**os.environ, **PRODUCTION, "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
    )
    answer = json.loads(asked.stdout)
    assert set(answer["cookies"]) == {"__Host-csrftoken"}
    cookie = answer["cookies"]["__Host-csrftoken"]
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert answer["headers"]["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(staff_user):
    client = Client()
    sign_in(client, "staff", "correct-horse-battery")
    session = client.cookies["sessionid"]
    assert (session["httponly"], session["samesite"], session["domain"], session["path"]) == (True, "Lax", "", "/")
