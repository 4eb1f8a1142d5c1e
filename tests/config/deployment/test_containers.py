"""The containers of a deployment: what they may do, what they are given, and how they are checked."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from config.server.compose_secrets import write_secrets
from config.server.problems import StartupProblem
from config.server.secret_files import NAMES, load_secret_files

ROOT = Path(settings.BASE_DIR)
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SCALE = yaml.safe_load((ROOT / "compose.scale.yaml").read_text())
SERVICES = COMPOSE["services"]
ALL = {
    f"{name} of {file}": service
    for file, compose in (("compose.yaml", COMPOSE), ("compose.scale.yaml", SCALE))
    for name, service in compose["services"].items()
}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
LONG_RUNNING = {name: service for name, service in ALL.items() if service["restart"] != "no"}
EXACT = re.compile(r"[a-z/]+:\d+\.\d+(\.\d+)?[\w.-]*(@sha256:[0-9a-f]{64})?")


@pytest.mark.parametrize("name", ALL)
def test_a_service_has_no_rights_and_limits(name):
    service = ALL[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name.startswith("proxy") else [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_a_service_that_keeps_running_is_checked(name):
    assert LONG_RUNNING[name]["healthcheck"]["test"]
    assert LONG_RUNNING[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("compose", [COMPOSE, SCALE])
def test_only_migrations_and_backups_have_the_password_of_the_tables_owner(compose):
    services = compose["services"].items()
    assert [name for name, service in services if "database_owner_url" in service.get("secrets", ())] == [
        "migrate",
        "backup",
    ]


def test_a_backup_is_restored_by_the_service_that_has_the_volume_also_without_a_migrated_database():
    mounted = [name for name, service in SERVICES.items() if "backups:/backups" in service.get("volumes", ())]
    assert mounted == ["backup"]
    assert SERVICES["backup"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    text = (ROOT / "docs" / "backup.md").read_text()
    assert "docker compose run --rm backup python manage.py restore latest" in text


def test_only_the_proxy_is_reached_from_outside():
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    assert COMPOSE["networks"]["back"] == {"internal": True}
    assert [name for name, service in SERVICES.items() if "front" in service.get("networks", ())] == ["proxy", "web"]
    assert SERVICES["postgres"]["networks"] == SERVICES["redis"]["networks"] == ["back"]
    subnet = COMPOSE["networks"]["front"]["ipam"]["config"][0]["subnet"]
    assert SERVICES["web"]["environment"]["TRUSTED_PROXIES"] == subnet


def test_images_have_exact_versions():
    images = [service["image"] for service in ALL.values() if "image" in service]
    images += re.findall(r"FROM (\S+)", SCALE["services"]["pooler"]["build"]["dockerfile_inline"])
    images += re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert [image for image in images if image != "countinghouse" and not EXACT.fullmatch(image)] == []


def test_no_secret_is_in_the_environment():
    for name, service in ALL.items():
        values = " ".join(f"{key}={value}" for key, value in service.get("environment", {}).items())
        assert not re.search(r"PASSWORD=|SECRET_KEY=|://", values.replace("=https://${SITE_HOST", "=")), name
        secrets = {value for value in service.get("environment", {}).values() if str(value).startswith("/run/secrets/")}
        assert secrets <= {f"/run/secrets/{secret}" for secret in service.get("secrets", ())}, name


def test_the_image_has_no_compiler_no_pip_and_no_root():
    *_, last = DOCKERFILE.split("\nFROM ")
    assert "pip install" not in last
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "--require-hashes" in DOCKERFILE


def test_every_folder_of_the_product_is_in_the_image():
    copied = set(re.findall(r"^COPY (\w+) \w+$", DOCKERFILE, re.MULTILINE))
    assert {"config", "catalog", "customers", "events", "billing", "templates"} <= copied


def test_secrets_are_written_once_and_connections_use_tls(tmp_path):
    folder = tmp_path / "secrets"
    assert set(write_secrets(folder)) == COMPOSE["secrets"].keys() | SCALE["secrets"].keys()
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert write_secrets(folder) == []
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert before["postgres_password"] in before["database_owner_url"]
    assert before["postgres_app_password"] in before["database_url"]
    assert "sslmode=verify-full&sslrootcert=/certs/ca/ca.crt" in before["database_url"]
    assert before["redis_url"].startswith(f"rediss://:{before['redis_password']}@redis:6379/")
    assert "ssl_cert_reqs=required&ssl_ca_certs=/certs/ca/ca.crt" in before["redis_url"]
    (folder / "redis_url").unlink()
    assert write_secrets(folder) == ["redis_url"]
    assert (folder / "redis_url").read_text() == before["redis_url"]


def test_postgresql_and_redis_take_passwords_over_tls_only():
    assert [line for line in COMPOSE["configs"]["pg_hba"]["content"].splitlines() if not line.startswith("#")] == [
        "local   all all     scram-sha-256",
        "hostssl all all all scram-sha-256",
    ]
    postgres, redis = SERVICES["postgres"]["command"][-1], SERVICES["redis"]["command"][-1]
    assert "-c ssl=on" in postgres
    assert "hba_file=/etc/pg_hba.conf" in postgres
    assert "--port 0 --tls-port 6379" in redis
    assert "requirepass" in redis


def test_secrets_come_from_files(tmp_path):
    (tmp_path / "key").write_text("k" * 20 + "\n")
    code = "from django.conf import settings; print(settings.SECRET_KEY, settings.DEBUG, settings.REDIS_URL)"
    (tmp_path / "redis").write_text("redis://:secret@redis:6379/0\n")
    env = {name: value for name, value in os.environ.items() if name not in NAMES}
    env |= {"SECRET_KEY_FILE": str(tmp_path / "key"), "REDIS_URL_FILE": str(tmp_path / "redis")}
    asked = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=env | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.split() == ["k" * 20, "False", "redis://:secret@redis:6379/0"]


def test_the_secret_of_an_identity_provider_comes_from_a_file_too(tmp_path, monkeypatch):
    (tmp_path / "okta").write_text("s3cret\n")
    monkeypatch.setenv("OIDC_OKTA_CLIENT_SECRET", "")  # so that it is removed after the test
    monkeypatch.setenv("OIDC_OKTA_CLIENT_SECRET_FILE", str(tmp_path / "okta"))
    load_secret_files()
    assert os.environ["OIDC_OKTA_CLIENT_SECRET"] == "s3cret"


def test_a_missing_file_is_named(monkeypatch):
    monkeypatch.setenv("SECRET_KEY_FILE", "/run/secrets/nothing")
    with pytest.raises(StartupProblem, match=r"SECRET_KEY_FILE can't be read \(/run/secrets/nothing\)"):
        load_secret_files()


def test_images_are_pinned_to_digests_by_a_command(tmp_path):
    for name in ("Makefile", "Dockerfile", "compose.yaml", "compose.scale.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nprintf "sha256:%s\\n" "$(printf %s "$4" | sha256sum | cut -c1-64)"\n')
    docker.chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for _ in range(2):  # a second run replaces the digests
        subprocess.run(["make", "pin-images"], cwd=tmp_path, env=env, check=True, capture_output=True)
    text = "".join((tmp_path / name).read_text() for name in ("Dockerfile", "compose.yaml", "compose.scale.yaml"))
    images = re.findall(r"^ *(?:FROM|image:) (?!countinghouse)(\S+)", text, re.MULTILINE)
    assert len(images) == 2 + 3 + 5  # in the Dockerfile and both compose files
    assert all(re.fullmatch(r"[a-z]+:[\w.-]+@sha256:[0-9a-f]{64}", image) for image in images), images


def test_the_proxy_passes_no_metrics_on():
    site = COMPOSE["configs"]["caddyfile"]["content"].partition("{$$SITE_HOST} {")[2]
    lines = [line.strip() for line in site.splitlines()]
    assert lines.index("@metrics path /metrics /metrics/*") < lines.index("respond @metrics 404")
    assert "reverse_proxy web:8000" in lines


# --- Many hosts --------------------------------------------------------------------------------------
def test_a_host_starts_only_its_part_and_listens_in_the_private_network():
    services = SCALE["services"]
    assert {profile for service in services.values() for profile in service["profiles"]} == {
        *("proxy", "web", "worker", "database", "pooler", "broker", "rabbitmq", "tools"),
    }
    assert [name for name, service in services.items() if service["profiles"] == ["worker"]] == ["worker", "beat"]
    for name, service in services.items():
        if name != "proxy":
            assert all(port.startswith("${HOST_ADDRESS:?") for port in service.get("ports", ())), name


def test_the_services_of_many_hosts_take_passwords_over_tls_only():
    rules = SCALE["configs"]["pg_hba"]["content"].splitlines()[1:]
    assert all(rule.split()[0] in ("local", "hostssl") and rule.endswith("scram-sha-256") for rule in rules)
    assert "--port 0 --tls-port 6379" in SCALE["services"]["redis"]["command"][-1]
    assert "listeners.tcp = none" in SCALE["configs"]["rabbitmq"]["content"]
    pooler = SCALE["configs"]["pgbouncer"]["content"]
    assert "pool_mode = session" in pooler
    assert "client_tls_sslmode = require" in pooler
    assert "server_tls_sslmode = verify-full" in pooler


def test_the_standby_is_chosen_by_alter_system():
    assert "synchronous_standby_names" not in SCALE["services"]["postgres"]["command"][-1]


def test_secrets_name_the_hosts_of_the_database(tmp_path):
    write_secrets(tmp_path, database_hosts="db1:5432,db2:5432", redis_host="broker")
    url = (tmp_path / "database_url").read_text()
    assert "@db1:5432,db2:5432/countinghouse?target_session_attrs=read-write&sslmode=verify-full" in url
    assert "@broker:6379/0" in (tmp_path / "redis_url").read_text()
