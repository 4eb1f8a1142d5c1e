"""The embedded PostgreSQL starts, is shared by processes, recovers from being killed, and reports problems."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config.server import postgres
from config.server.postgres import DATABASE, ROLE, EmbeddedPostgres
from config.server.problems import StartupProblem
from config.server.startup import check_database


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("cluster"))
    server.start()
    yield server
    server.release()


def query(url: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def setting(server: EmbeddedPostgres, name: str) -> object:
    return query(server.url(), f"SHOW {name}")[0][0]


@pytest.mark.parametrize(
    ("name", "value"),
    [("fsync", "on"), ("listen_addresses", ""), ("max_wal_size", "4GB"), ("TimeZone", "UTC"), ("jit", "off")],
)
def test_the_server_runs_with_the_projects_settings(cluster: EmbeddedPostgres, name: str, value: str):
    assert setting(cluster, name) == value


def kill_server(server: EmbeddedPostgres) -> None:
    """Kill the server and wait until it has ended. An unreaped zombie has ended too."""
    process = server.find_process()
    assert process
    os.kill(process.pid, signal.SIGKILL)
    until = time.monotonic() + 30
    while server.find_process() is not None:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_committed_row_survives_kill_9(cluster: EmbeddedPostgres):
    query(cluster.url(), "CREATE TABLE kept AS SELECT 42 AS answer")
    kill_server(cluster)
    assert query(cluster.start(), "SELECT answer FROM kept") == [(42,)]


def test_a_killed_server_is_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("DATABASE_OWNER_URL", "")  # restored at the end
    monkeypatch.setattr(postgres, "_started", [])
    monkeypatch.setattr("atexit.register", lambda function: None)
    url = postgres.ensure_database(tmp_path)
    (server,) = postgres._started
    running = server.find_process()
    postgres.restart_killed_servers()
    assert server.find_process() == running
    kill_server(server)
    postgres.restart_killed_servers()
    assert query(url, "SELECT 1") == [(1,)]
    server.release()


def test_a_pid_file_with_the_pid_of_another_program_is_ignored(cluster: EmbeddedPostgres):
    pid_file = cluster.pgdata / "postmaster.pid"
    lines = pid_file.read_text().split("\n")
    kill_server(cluster)
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    assert query(cluster.start(), "SELECT 1") == [(1,)]


def test_starting_a_running_server_keeps_its_process(cluster: EmbeddedPostgres):
    before = cluster.find_process()
    cluster.start()
    assert cluster.find_process() == before


def test_the_last_user_stops_the_server(tmp_path: Path):
    first, second = EmbeddedPostgres(tmp_path), EmbeddedPostgres(tmp_path)
    assert first.start() == second.start()
    first.release()
    assert query(second.url(), "SELECT 1") == [(1,)]
    second.release()
    assert second.find_process() is None


def test_a_second_release_does_nothing(tmp_path: Path):
    server = EmbeddedPostgres(tmp_path)
    with server:
        server.release()
        server.release()
    assert server.find_process() is None


def test_a_long_path_gets_a_short_socket_path(tmp_path: Path):
    with EmbeddedPostgres(tmp_path / ("long " * 20) / ("path-" * 20)) as url:
        assert query(url, "SELECT 1") == [(1,)]


def test_an_interrupted_initdb_is_repeated(tmp_path: Path):
    server = EmbeddedPostgres(tmp_path)
    server.pgdata.mkdir()
    (server.pgdata / "half").write_text("made")
    with server as url:
        assert query(url, "SELECT 1") == [(1,)]


def test_another_users_data_is_refused_with_a_clear_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(StartupProblem, match=r"belongs to the user \w+: run as that user, or set DATA_DIR"):
        EmbeddedPostgres(tmp_path).start()


def test_data_of_another_version_is_refused_with_a_clear_message(tmp_path: Path):
    server = EmbeddedPostgres(tmp_path)
    server.pgdata.mkdir()
    (server.pgdata / "PG_VERSION").write_text("12\n")
    with pytest.raises(StartupProblem, match="was written by PostgreSQL 12"):
        server.start()


def test_a_folder_that_can_not_be_created_is_reported_with_a_clear_message(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(StartupProblem, match="can't be created"):
        EmbeddedPostgres(tmp_path / "file" / "postgres").start()


def test_the_error_of_a_server_that_does_not_start_names_the_log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("config.server.postgres.START_ATTEMPTS", 1)
    server = EmbeddedPostgres(tmp_path, settings={"shared_buffers": "no"})
    with pytest.raises(StartupProblem, match=r"failed at pg_ctl \(see .*server\.log\)"):
        server.start()
    server.release()


def test_a_wrong_password_is_reported_as_such(cluster: EmbeddedPostgres):
    query(cluster.url(), "CREATE ROLE clerk LOGIN PASSWORD 'right'")
    access = cluster.pgdata / "pg_hba.conf"
    access.write_text("local all clerk scram-sha-256\n" + access.read_text())
    query(cluster.url(), "SELECT pg_reload_conf()")
    url = cluster.url().replace(f"{ROLE}@", "clerk:wrong@")
    with pytest.raises(StartupProblem) as refused:
        check_database(url)
    assert "refused the user or password" in str(refused.value)
    assert "wrong" not in str(refused.value)
    check_database(url.replace("wrong", "right").replace(f"/{DATABASE}", "/postgres"))
