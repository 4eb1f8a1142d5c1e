"""Every error of the API has the same body, whatever went wrong and wherever."""

import gzip
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from tests.api import check_error

pytestmark = pytest.mark.urls("tests.config.api.urls_for_errors")


@pytest.fixture
def api() -> Client:
    return Client(raise_request_exception=False)


def body_of(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response["Content-Type"] == "application/json"
    body: dict[str, Any] = response.json()
    check_error(body, status)
    return body


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1", 404, "not_found"),
        ("/v1/no/such/thing", 404, "not_found"),
        ("/v1/test/closed", 401, "unauthorized"),
        ("/v1/test/conflict", 409, "already_exists"),
        ("/v1/test/state", 400, "invalid_operation"),
        ("/v1/test/forbidden", 403, "permission_denied"),
        ("/v1/test/throttled", 429, "too_many_requests"),
        ("/v1/test/broken", 500, "internal_error"),
    ],
)
def test_each_status_has_its_code(api: Client, path: str, status: int, code: str):
    assert body_of(api.get(path), status)["code"] == code


def test_an_unknown_path_is_404_for_posts_too(api: Client):
    enforcing = Client(enforce_csrf_checks=True)
    body_of(enforcing.post("/v1/nope", "{}", content_type="application/json"), 404)


def test_an_unpaired_surrogate_is_replaced_in_the_error(api: Client):
    response = api.post("/v1/test/kind", '{"kind": "\\ud800"}', content_type="application/json")
    assert body_of(response, 400)["details"] == {"kind": ['"\ufffd" is not a valid choice.']}
    response = api.post("/v1/test/kind", '{"kind": {"\\udfff": 1}}', content_type="application/json")
    assert "kind" in body_of(response, 400)["details"]


def test_the_error_contains_its_details(api: Client):
    assert api.get("/v1/test/state").json()["details"] == {"status": "finalized"}


def test_a_throttled_client_is_told_when_to_retry(api: Client):
    assert api.get("/v1/test/throttled")["Retry-After"] == "2"


def test_a_missing_key_is_401_and_names_the_scheme(api: Client):
    assert api.get("/v1/test/closed")["WWW-Authenticate"] == "ApiKey"


def test_an_unexpected_exception_is_not_revealed(api: Client):
    assert "42" not in api.get("/v1/test/broken").content.decode()


def test_an_invalid_field_is_named(api: Client):
    response = api.post("/v1/test/open", {"amount": "ten"}, content_type="application/json")
    body = body_of(response, 400)
    assert body["code"] == "validation_error"
    assert body["details"] == {"amount": ["A valid number is required."]}


@pytest.mark.parametrize("text", ["{", '{"amount": NaN}', "[" * 200_000, "\udcff".encode("utf-8", "surrogateescape")])
def test_malformed_json_is_a_validation_error(api: Client, text: str | bytes):
    response = api.generic("POST", "/v1/test/open", text, content_type="application/json")
    assert body_of(response, 400)["code"] == "validation_error"


def test_an_unsupported_method_is_405(api: Client):
    assert body_of(api.delete("/v1/test/open"), 405)["code"] == "method_not_allowed"


def test_an_unsupported_format_is_refused(api: Client):
    assert body_of(api.get("/v1/test/open", HTTP_ACCEPT="text/csv"), 406)["code"] == "not_acceptable"


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_a_body_is_read_as_json_whatever_its_content_type(api: Client, content_type: str):
    sent = {"content_type": content_type}
    assert api.generic("POST", "/v1/test/kind", '{"kind": "fee"}', **sent).json() == {"kind": "fee"}
    response = api.generic("POST", "/v1/test/kind", "kind=fee", **sent)
    assert body_of(response, 400)["message"].startswith("JSON parse error")


def test_a_compressed_body_is_read_within_the_limit(api: Client, settings: Settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100

    def post(body: bytes, encoding: str = "gzip") -> Any:
        return api.generic("POST", "/v1/test/kind", body, headers={"content-encoding": encoding})

    assert post(gzip.compress(b'{"kind": "fee"}')).json() == {"kind": "fee"}
    assert body_of(post(gzip.compress(b'{"kind": "fee"}' + b" " * 100)), 413)["code"] == "payload_too_large"
    assert body_of(post(b'{"kind": "fee"}'), 400)["message"].startswith("The body can't be decompressed")
    assert body_of(post(b'{"kind": "fee"}', "br"), 415)["code"] == "unsupported_media_type"


def test_a_body_over_the_limit_is_413(api: Client, settings: Settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 20
    response = api.post("/v1/test/open", {"amount": "1" * 40}, content_type="application/json")
    assert body_of(response, 413)["code"] == "payload_too_large"


def test_a_fraction_is_parsed_exactly(api: Client):
    text = '{"amount": 1234567890123456789.00000000000000000001}'
    response = api.generic("POST", "/v1/test/open", text, content_type="application/json")
    assert response.json() == {"amount": "1234567890123456789.00000000000000000001"}


def test_browsers_get_html_pages(api: Client):
    response = api.get("/nowhere")
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")
    assert "There is no such page" in response.content.decode()
    assert 'href="/admin/"' in response.content.decode()
