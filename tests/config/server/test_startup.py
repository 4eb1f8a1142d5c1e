"""Problems of the environment are reported in one sentence, with exit code 1."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings

from config.server.problems import StartupProblem
from config.server.startup import check_database, check_redis, hide_password, prepare
from tests.services import free_port

ROOT = Path(settings.BASE_DIR)


def run(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, timeout=180, check=False
    )


def test_manage_py_reports_a_malformed_database_url_in_one_sentence():
    process = run(sys.executable, "manage.py", "migrate", DATABASE_URL="my database")
    assert process.returncode == 1
    assert process.stderr.startswith("DATABASE_URL is malformed")
    assert len(process.stderr.splitlines()) == 1


def test_serve_reports_an_unreachable_redis_in_one_sentence():
    process = run(sys.executable, "manage.py", "serve", REDIS_URL=f"redis://:hush@127.0.0.1:{free_port()}/0")
    assert process.returncode == 1
    assert process.stderr.startswith("Redis can't be reached (REDIS_URL=redis://@127.0.0.1:")
    assert len(process.stderr.splitlines()) == 1
    assert "hush" not in process.stderr


@pytest.mark.parametrize("url", ["my database", "mysql://u@h/d", "postgresql://u@h:port/d", "postgresql://[::1/d"])
def test_a_malformed_database_url_is_reported(url: str):
    with pytest.raises(StartupProblem, match="DATABASE_URL is malformed"):
        check_database(url)


def test_an_unreachable_database_is_reported():
    with pytest.raises(StartupProblem, match=r"can't be reached \(DATABASE_URL=postgresql://u@127"):
        check_database(f"postgresql://u:hush@127.0.0.1:{free_port()}/d")


def test_an_unknown_database_is_reported():
    url = os.environ["DATABASE_URL"].replace("/countinghouse?", "/nowhere?")
    with pytest.raises(StartupProblem, match="has no such database"):
        check_database(url)


def test_a_restore_needs_a_server_but_no_database(monkeypatch: pytest.MonkeyPatch):
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL"):
        monkeypatch.setenv(name, urlunsplit(urlsplit(os.environ[name])._replace(path="/nowhere")))
    prepare(["manage.py", "restore", "latest"])
    with pytest.raises(StartupProblem, match="has no such database"):
        prepare(["manage.py", "backup"])


def test_an_unknown_user_is_reported():
    url = os.environ["DATABASE_URL"].replace("countinghouse_app@", "nobody-of-ours@")
    with pytest.raises(StartupProblem, match="has no such user"):
        check_database(url)


def test_a_malformed_redis_url_is_reported():
    with pytest.raises(StartupProblem, match="REDIS_URL is malformed"):
        check_redis("localhost:6379")


@pytest.mark.redis
def test_a_running_redis_is_accepted(redis_url: str):
    check_redis(redis_url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p@h/d", "postgresql://u@h/d"),
        ("postgresql://h/d", "postgresql://h/d"),
        ("p@ssword without a scheme", "not a URL"),
    ],
)
def test_messages_contain_no_password(url: str, shown: str):
    assert hide_password(url) == shown


def test_an_old_python_version_is_reported():
    pretend = "import runpy, sys; sys.version_info = (3, 9, 2); runpy.run_path('manage.py', run_name='__main__')"
    process = run(sys.executable, "-c", pretend)
    assert process.returncode == 1
    assert process.stderr.startswith("Countinghouse needs Python 3.12 or newer, but this is Python 3.9")
    assert len(process.stderr.splitlines()) == 1


def test_a_missing_python_interpreter_is_reported(tmp_path: Path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "make", "ls", "rm", "touch", "grep"):
        program = shutil.which(name)
        assert program, name
        (programs / name).symlink_to(program)
    for name in ("Makefile", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    process = subprocess.run(
        [str(programs / "make"), "setup", "SHELL=" + str(programs / "bash")],
        cwd=tmp_path,
        env={"PATH": str(programs), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode != 0
    assert "Countinghouse needs Python 3.13 or 3.12" in process.stderr
