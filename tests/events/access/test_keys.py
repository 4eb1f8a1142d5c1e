import hashlib
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from events.access import keys
from events.access.keys import (
    KeyNotActive,
    KeyRefused,
    KeysUnavailable,
    authenticate,
    make_key,
    revoke,
    rotate,
)
from events.models import ApiKey, Scope

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def refusal_of(secret, now=NOW):
    with pytest.raises(KeyRefused) as refused:
        authenticate(secret, now=now)
    return str(refused.value)


def test_only_the_hash_of_a_key_is_stored():
    key, secret = make_key("Shop")
    assert secret.startswith("sk_")
    assert len(secret) == 46
    row = ApiKey.objects.values().get()
    assert row["secret_hash"] == hashlib.sha256(secret.encode()).hexdigest()
    assert row["prefix"] == secret[:12]
    assert secret not in str(row)
    assert str(key) == f"Shop ({secret[:12]}…)"


def test_a_key_identifies_its_caller():
    key, secret = make_key("Shop", scopes=[Scope.EVENTS_WRITE], single_per_minute=5, bulk_per_minute=0)
    caller = authenticate(secret, now=NOW)
    assert (caller.key_id, caller.name, caller.prefix) == (key.pk, "Shop", secret[:12])
    assert (caller.single_per_minute, caller.bulk_per_minute) == (5, 0)
    assert caller.may(Scope.EVENTS_WRITE)
    assert not caller.may(Scope.READ)


def test_the_scope_all_includes_every_other_scope():
    _, secret = make_key("Shop")
    assert all(authenticate(secret, now=NOW).may(scope) for scope in Scope)


@pytest.mark.parametrize(
    "sent", ["sk_" + "x" * 43, "sk_short", "not a key", "sk_\x00" + "x" * 40, "sk_ü" + "x" * 40, "sk_" + "x" * 9000]
)
def test_an_unknown_key_is_refused(sent):
    make_key("Shop")
    assert refusal_of(sent) == "The API key is not known."


def test_a_key_with_only_the_right_prefix_is_refused():
    _, secret = make_key("Shop")
    assert refusal_of(secret[:-1] + ("a" if secret[-1] != "a" else "b")) == "The API key is not known."


def test_without_a_key_the_error_names_the_header():
    assert refusal_of("") == "No API key was sent: put it in the x-api-key header."


def test_a_revoked_key_is_refused():
    key, secret = make_key("Shop")
    authenticate(secret, now=NOW)
    assert revoke(key, now=NOW).revoked_at == NOW
    assert refusal_of(secret) == f"The API key {secret[:12]}… was revoked on 2026-03-10 12:00 UTC."
    assert revoke(key, now=NOW + timedelta(days=1)).revoked_at == NOW


def test_a_key_is_refused_from_the_moment_it_expires():
    _, secret = make_key("Shop", expires_at=NOW)
    authenticate(secret, now=NOW - timedelta(microseconds=1))
    assert refusal_of(secret) == f"The API key {secret[:12]}… expired on 2026-03-10 12:00 UTC."


def test_a_valid_key_is_cached_for_three_seconds(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("events.access.keys.time.monotonic", lambda: clock[0])
    _, secret = make_key("Shop")
    authenticate(secret, now=NOW)
    clock[0] += 2.9
    with CaptureQueriesContext(connection) as queries:
        authenticate(secret, now=NOW)
    assert len(queries) == 0
    ApiKey.objects.update(revoked_at=NOW)  # by another process
    authenticate(secret, now=NOW)
    clock[0] += 0.2
    assert "was revoked" in refusal_of(secret)


def test_the_last_use_is_recorded_once_a_minute(monkeypatch):
    monkeypatch.setattr(keys, "CACHE_S", 0.0)
    key, secret = make_key("Shop")
    for seconds, noted in [(0, 0), (59, 0), (61, 61), (90, 61)]:
        authenticate(secret, now=NOW + timedelta(seconds=seconds))
        key.refresh_from_db()
        assert key.last_used_at == NOW + timedelta(seconds=noted)


def test_rotation_creates_a_successor_and_the_old_key_expires():
    key, secret = make_key("Shop", scopes=[Scope.READ], single_per_minute=9, bulk_per_minute=3)
    authenticate(secret, now=NOW)
    successor, new_secret = rotate(key, now=NOW, overlap=timedelta(hours=1))
    assert new_secret != secret
    assert (successor.name, successor.scopes, successor.replaces) == ("Shop", [Scope.READ], key)
    assert (successor.single_per_minute, successor.bulk_per_minute, successor.expires_at) == (9, 3, None)
    authenticate(secret, now=NOW + timedelta(minutes=59))
    assert "expired" in refusal_of(secret, now=NOW + timedelta(hours=1))
    authenticate(new_secret, now=NOW + timedelta(hours=1))


def test_rotation_never_extends_a_key():
    key, _ = make_key("Shop", expires_at=NOW + timedelta(minutes=5))
    successor, _ = rotate(key, now=NOW, overlap=timedelta(hours=1))
    key.refresh_from_db()
    assert key.expires_at == successor.expires_at == NOW + timedelta(minutes=5)


def test_a_key_is_rotated_once_and_only_while_it_is_active():
    key, _ = make_key("Shop")
    rotate(key, now=NOW, overlap=timedelta(hours=1))
    with pytest.raises(KeyNotActive):
        rotate(key, now=NOW)
    gone, _ = make_key("Gone")
    revoke(gone, now=NOW)
    with pytest.raises(KeyNotActive):
        rotate(gone, now=NOW)
    expired, _ = make_key("Expired", expires_at=NOW)
    with pytest.raises(KeyNotActive):
        rotate(expired, now=NOW)


def test_an_unknown_scope_is_refused():
    with pytest.raises(ValidationError):
        make_key("Shop", scopes=["everything"])


# --- manage.py create_api_key -------------------------------------------------------------------------


def create(*options):
    out = StringIO()
    call_command("create_api_key", *options, stdout=out)
    return out.getvalue()


def test_the_command_prints_the_key_and_nothing_else():
    printed = create("Shop")
    assert printed == f"{printed.strip()}\n"
    assert authenticate(printed.strip(), now=NOW).name == "Shop"
    assert ApiKey.objects.get().scopes == [Scope.ALL]


def test_the_command_takes_scopes_expiry_and_limits():
    options = ["--scope", "events:write", "--scope", "read", "--expires-in-days", "30"]
    create("Shop", *options, "--single-per-minute", "10", "--bulk-per-minute", "0")
    key = ApiKey.objects.get()
    assert key.scopes == ["events:write", "read"]
    assert key.expires_at is not None
    assert timedelta(days=29) < key.expires_at - datetime.now(UTC) < timedelta(days=31)
    assert (key.single_per_minute, key.bulk_per_minute) == (10, 0)


@pytest.mark.parametrize(
    "options", [["Shop", "--expires-in-days", "0"], ["Shop", "--single-per-minute", "-1"], [""], ["n" * 256]]
)
def test_the_command_refuses_invalid_arguments(options):
    with pytest.raises(CommandError):
        create(*options)
    assert not ApiKey.objects.exists()


def test_during_an_outage_the_database_is_asked_once_a_second(monkeypatch):
    asked = []

    def fail(*_):
        asked.append(1)
        raise OperationalError

    monkeypatch.setattr(keys, "_look_up", fail)
    for _ in range(10):
        with pytest.raises(KeysUnavailable):
            authenticate("sk_" + "x" * 43, now=NOW)
    assert len(asked) == 1
