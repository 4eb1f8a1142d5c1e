"""Connections to PostgreSQL and Redis use TLS with the certificates of the installation, and nothing less."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import psycopg
import pytest
from cryptography import x509
from django.conf import settings

from config.server.certificates import make_certificates
from tests.services import free_port

NOW = datetime.now(UTC)
SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


def certificate(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / name).read_bytes())


@pytest.fixture(scope="module")
def certs(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("certs")
    make_certificates(folder, ["localhost", "redis"], now=NOW)
    return folder


def test_certificates_are_kept_until_they_end_soon(tmp_path):
    assert make_certificates(tmp_path, ["postgres", "redis"], now=NOW)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert not make_certificates(tmp_path, ["postgres", "redis"], now=NOW + timedelta(days=734))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before
    assert make_certificates(tmp_path, ["postgres", "redis"], now=NOW + timedelta(days=736))
    assert not {path for path, content in before.items() if path.read_bytes() == content}


def test_a_certificate_is_for_its_server_and_signed_by_the_authority(certs):
    authority, server = certificate(certs, "ca/ca.crt"), certificate(certs, "redis/server.crt")
    server.verify_directly_issued_by(authority)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["redis"]
    assert not server.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert {path.name for path in (certs / "ca").iterdir()} == {"ca.crt"}  # its key isn't stored
    assert (certs / "redis" / "server.key").stat().st_mode & 0o007 == 0


@contextmanager
def postgresql_behind_tls(certs: Path):
    """Yield a port at which the test's PostgreSQL answers over TLS: the embedded one is built without it."""
    socket_folder = parse_qs(urlsplit(os.environ["DATABASE_OWNER_URL"]).query)["host"][0]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certs / "localhost/server.crt", certs / "localhost/server.key")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=answer, args=[client], daemon=True).start()

        def answer(client: socket.socket) -> None:
            with suppress(OSError), client:
                assert client.recv(8, socket.MSG_WAITALL) == SSL_REQUEST
                client.sendall(b"S")
                with context.wrap_socket(client, server_side=True) as secure, socket.socket(socket.AF_UNIX) as server:
                    server.connect(f"{socket_folder}/.s.PGSQL.5432")
                    back = threading.Thread(target=pump, args=[server, secure], daemon=True)
                    back.start()
                    pump(secure, server)
                    back.join(5)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


def ask(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {code}"],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def test_the_application_connects_to_postgresql_with_a_verified_certificate(certs):
    query = "sslmode=verify-full&sslrootcert=" + quote(str(certs / "ca/ca.crt"), safe="")
    code = (
        "from django.db import connection; connection.ensure_connection(); "
        "print(connection.connection.pgconn.ssl_in_use)"
    )
    user = urlsplit(os.environ["DATABASE_OWNER_URL"]).username
    with postgresql_behind_tls(certs) as port:
        asked = ask(code, DATABASE_URL=f"postgresql://{user}@localhost:{port}/postgres?{query}")
        assert asked.stdout.strip() == "True", asked.stderr
        with pytest.raises(psycopg.OperationalError, match="certificate"):  # of another name
            psycopg.connect(f"postgresql://{user}@127.0.0.1:{port}/postgres?{query}")


@pytest.fixture
def redis_with_tls(certs, tmp_path):
    """Yield the URL of a redis-server that answers over TLS only, with a password."""
    make_certificates(tmp_path, ["localhost"], now=NOW)
    port = free_port()
    command = [
        shutil.which("redis-server"), "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", "",
        "--requirepass", "secret", "--tls-auth-clients", "no", "--tls-protocols", "TLSv1.3",
        "--tls-cert-file", str(tmp_path / "localhost/server.crt"),
        "--tls-key-file", str(tmp_path / "localhost/server.key"),
        "--tls-ca-cert-file", str(tmp_path / "ca/ca.crt"), "--dir", str(tmp_path),
    ]  # fmt: skip
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.05)
    yield f"rediss://:secret@localhost:{port}/0?ssl_cert_reqs=required&ssl_ca_certs={tmp_path / 'ca/ca.crt'}"
    server.terminate()
    server.wait(10)


REDIS = """
from config.celery import app
from django.core.cache import caches
caches['figures'].set('seen', 1); print(caches['figures'].get('seen'))
with app.connection_for_write() as connection: connection.ensure_connection(max_retries=1); print(connection.connected)
"""


@pytest.mark.redis
def test_cache_and_broker_connect_to_redis_with_a_verified_certificate(redis_with_tls, certs):
    code = f"exec({REDIS!r})"
    asked = ask(code, REDIS_URL=redis_with_tls)
    assert asked.stdout.split() == ["1", "True"], asked.stderr
    stranger = redis_with_tls.rpartition("=")[0] + f"={certs / 'ca/ca.crt'}"  # another authority
    refused = ask("from django.core.cache import caches; caches['figures'].set('seen', 1)", REDIS_URL=stranger)
    assert "CERTIFICATE_VERIFY_FAILED" in refused.stderr
