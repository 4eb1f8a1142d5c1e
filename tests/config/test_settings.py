"""A laptop needs no settings. A deployment doesn't start with unsafe settings."""

import os
import secrets
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from config.server.secret_key import load_laptop_secret_key

PRODUCTION = {
    "SECRET_KEY": secrets.token_urlsafe(64),
    "ALLOWED_HOSTS": "billing.example.com",
    "CSRF_TRUSTED_ORIGINS": "https://billing.example.com",
}


def manage(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env={**inherited, **env},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def read_setting(name: str, **env: str) -> str:
    code = f"from django.conf import settings; print(settings.{name})"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", **env},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_check_deploy_reports_no_issues_for_a_deployment():
    checked = manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout + checked.stderr


@pytest.mark.parametrize(
    "key",
    ["", "short", "a" * 80, "django-insecure-" + "x1y2z3w4v5" * 7, "change-me-" + "q8w7e6r5t4" * 7],
)
def test_a_deployment_refuses_a_guessable_secret_key(key: str):
    checked = manage("check", **{**PRODUCTION, "SECRET_KEY": key, "DEBUG": "0"})
    assert checked.returncode == 1
    assert "config.E001" in checked.stderr


def test_the_web_server_refuses_a_guessable_secret_key():
    started = subprocess.run(
        [sys.executable, "-c", "import config.rsgi"],
        cwd=settings.BASE_DIR,
        env={**os.environ, **PRODUCTION, "SECRET_KEY": "short"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.returncode != 0
    assert "SECRET_KEY is missing, too short, or an example" in started.stderr


@pytest.mark.parametrize(
    ("name", "env", "value"),
    [
        ("DEBUG", {}, "True"),
        ("DEBUG", {"SECRET_KEY": "k"}, "False"),
        ("SESSION_COOKIE_SECURE", {"SECRET_KEY": "k"}, "True"),
        ("SESSION_COOKIE_SECURE", {"SECRET_KEY": "k", "HTTPS": "0"}, "False"),
        ("ACCEPT_NUMERIC_STRINGS", {}, "False"),
        ("DEFAULT_CURRENCY", {}, "USD"),
    ],
)
def test_a_secret_key_in_the_environment_means_a_deployment(name: str, env: dict[str, str], value: str):
    assert read_setting(name, **env) == value


def test_a_laptops_key_is_generated_once_and_readable_by_its_owner_only(tmp_path: Path):
    key = load_laptop_secret_key(tmp_path / "new")
    path = tmp_path / "new" / "secret_key"
    assert len(key) >= 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_laptop_secret_key(tmp_path / "new") == key
    assert [file.name for file in path.parent.iterdir()] == ["secret_key"]


def test_two_laptops_have_different_keys(tmp_path: Path):
    assert load_laptop_secret_key(tmp_path / "a") != load_laptop_secret_key(tmp_path / "b")


def test_a_database_has_several_hosts_of_which_the_primary_is_chosen():
    url = "postgresql://app:secret@one:5432,two:5433/countinghouse?target_session_attrs=read-write"
    values = read_setting("DATABASES['default']", DATABASE_URL=url)
    for value in ("'HOST': 'one,two'", "'PORT': '5432,5433'", "'target_session_attrs': 'read-write'"):
        assert value in values
    assert "'tcp_user_timeout': 15000" in values


def test_the_broker_is_redis_unless_another_one_is_named():
    redis, rabbitmq = "redis://one:6379/0", "amqps://user:secret@two:5671//"
    environment = {"REDIS_URL": redis, "BROKER_CA": "/certs/ca.crt"}
    name = "CELERY_BROKER_URL, getattr(settings, 'CELERY_BROKER_USE_SSL', None)"
    assert read_setting(name, **environment) == f"{redis} None"
    assert read_setting(name, **environment, BROKER_URL=rabbitmq) == f"{rabbitmq} {{'ca_certs': '/certs/ca.crt'}}"
