"""Nothing is changed without a trace that names who did it."""

import logging

import pytest
from auditlog.models import LogEntry
from auditlog.registry import auditlog
from django.contrib import admin
from django.test import Client

from config.change_log.sealing import seal_entries
from config.server.log import ContextFilter
from events.access.keys import make_key
from tests.admin_pages import as_viewer, submit, text_of, url
from tests.api import Api
from tests.authors import is_named
from tests.config.change_log.tampering import tamper
from tests.factories import make_customer, make_user

pytestmark = pytest.mark.django_db
LOG = "/admin/auditlog/logentry/"
PASSWORD = "another-horse-battery"


def test_whatever_staff_can_add_or_change_is_in_the_change_log(rf, staff_user):
    request = rf.get("/")
    request.user = staff_user
    unlogged = [
        model.__name__
        for model, model_admin in admin.site._registry.items()
        if model_admin.has_add_permission(request) and not auditlog.contains(model)
    ]
    assert unlogged == []


def test_a_changed_password_is_recorded_without_the_password(staff_client, staff_user):
    mia = make_user(email="mia@example.com")
    path = f"/admin/auth/user/{mia.pk}/password/"
    staff_client.post(path, {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"})
    entry = LogEntry.objects.get_for_object(mia).first()
    assert (entry.actor, entry.changes_dict) == (staff_user, {"password": ["hidden", "changed"]})
    mia.refresh_from_db()
    mia.set_unusable_password()
    mia.save()
    assert LogEntry.objects.get_for_object(mia).first().changes_dict == {"password": ["hidden", "removed"]}
    assert PASSWORD not in str(list(LogEntry.objects.values()))


def test_a_login_that_renews_the_hash_isnt_a_changed_password(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher"]
    user = make_user(username="mia", password=PASSWORD)
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher", "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
    ]  # fmt: skip
    before = LogEntry.objects.count()
    assert Client().login(username="mia", password=PASSWORD)
    user.refresh_from_db()
    assert user.password.startswith("pbkdf2_sha256$")
    assert LogEntry.objects.count() == before


def test_the_changes_of_one_request_are_linked_in_answers_logs_and_the_change_log(staff_client, caplog):
    make_customer(name="Other Company")
    client = Client(headers={"x-api-key": make_key("Sync")[1], "X-Request-Id": "import-7"})
    caplog.handler.addFilter(ContextFilter())
    with caplog.at_level(logging.WARNING):
        answer = client.post("/v1/customers", {"external_id": "acme", "name": "Acme"}, content_type="application/json")
        logging.getLogger("x").warning("in the request's context")
    assert answer.headers["X-Request-Id"] == "import-7"
    assert caplog.records[-1].request_id == "import-7"
    page = text_of(staff_client.get(LOG, {"request": "import-7"}))
    assert "Acme" in page
    assert "Other Company" not in page
    assert "API key Sync (sk_" in page
    entry = LogEntry.objects.get(cid="import-7", content_type__model="customer")
    page = staff_client.get(f"{LOG}{entry.pk}/change/").content.decode()
    assert "?request=import-7" in page
    assert "127.0.0.1" in page


def test_the_change_log_is_searched_by_api_key(staff_client):
    Client(headers={"x-api-key": make_key("Sync")[1]}).post(
        "/v1/customers", {"external_id": "acme", "name": "Acme"}, content_type="application/json"
    )
    make_customer(name="Other Company")
    page = text_of(staff_client.get(LOG, {"q": "Sync"}))
    assert "Acme" in page
    assert "Other Company" not in page


def test_staff_verify_the_change_log_and_see_the_result(staff_client, api):
    make_customer()
    assert "Not verified yet" in text_of(staff_client.get(LOG))
    assert api.get("change-log/status") == {
        "entries": 0, "last_hash": None, "verified_at": None, "is_intact": None, "problem": None,
    }  # fmt: skip
    submit(staff_client, url("auditlog_logentry_verify"))
    count = LogEntry.objects.count()
    assert f"{count} entries, chain intact. Verified" in text_of(staff_client.get(LOG))
    status = api.get("change-log/status")
    assert (status["entries"], status["is_intact"], status["problem"]) == (count, True, None)
    assert f"{count}:{status['last_hash']}" in text_of(staff_client.get(LOG))
    seal_entries()
    tamper("UPDATE auditlog_logentry SET object_repr = 'Other' WHERE id = (SELECT max(id) FROM auditlog_logentry)")
    submit(staff_client, url("auditlog_logentry_verify"))
    assert "The change log was tampered with: entry" in text_of(staff_client.get(LOG))
    assert api.get("change-log/status")["is_intact"] is False


def test_who_may_not_see_the_change_log_may_not_verify_it():
    assert submit(as_viewer("billing"), url("auditlog_logentry_verify")).status_code in (302, 403)


def test_a_key_without_the_scope_to_read_sees_no_status(db):
    Api("events:write").get("change-log/status", 403)


def test_the_copy_is_shown_with_its_error(staff_client, settings, tmp_path):
    make_customer()
    seal_entries()
    settings.CHANGE_LOG_STREAM = f"file://{tmp_path}/missing/changes.jsonl"
    assert "entries to copy" in text_of(staff_client.get(LOG))


def test_a_change_without_an_author_would_be_noticed():
    assert not is_named(LogEntry(additional_data={}))
    assert is_named(LogEntry(additional_data={"api_key": "Sync (sk_1)"}))
