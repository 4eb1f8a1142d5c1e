"""Our own PostgreSQL: it starts, is shared, survives being killed, and says plainly why it can't start."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config.server.postgres import DATABASE, ROLE, EmbeddedPostgres
from config.server.problems import StartupProblem


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
def test_it_runs_with_our_settings(cluster: EmbeddedPostgres, name: str, value: str):
    assert setting(cluster, name) == value


def kill_9(server: EmbeddedPostgres) -> None:
    """Kill the server; return once it is gone, which an unreaped zombie is too."""
    postmaster = server.postmaster()
    assert postmaster
    os.kill(postmaster.pid, signal.SIGKILL)
    until = time.monotonic() + 30
    while server.postmaster() is not None:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_committed_row_survives_kill_9(cluster: EmbeddedPostgres):
    query(cluster.url(), "CREATE TABLE kept AS SELECT 42 AS answer")
    kill_9(cluster)
    assert query(cluster.start(), "SELECT answer FROM kept") == [(42,)]


def test_a_pid_file_that_names_another_program_is_stale(cluster: EmbeddedPostgres):
    pid_file = cluster.pgdata / "postmaster.pid"
    lines = pid_file.read_text().split("\n")
    kill_9(cluster)
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    assert query(cluster.start(), "SELECT 1") == [(1,)]


def test_starting_a_running_server_gives_the_same_one(cluster: EmbeddedPostgres):
    before = cluster.postmaster()
    cluster.start()
    assert cluster.postmaster() == before


def test_the_last_one_out_stops_it(tmp_path: Path):
    first, second = EmbeddedPostgres(tmp_path), EmbeddedPostgres(tmp_path)
    assert first.start() == second.start()
    first.release()
    assert query(second.url(), "SELECT 1") == [(1,)]
    second.release()
    assert second.postmaster() is None


def test_releasing_twice_does_nothing(tmp_path: Path):
    server = EmbeddedPostgres(tmp_path)
    with server:
        server.release()
        server.release()
    assert server.postmaster() is None


def test_a_long_path_gets_a_short_socket(tmp_path: Path):
    with EmbeddedPostgres(tmp_path / ("long " * 20) / ("path-" * 20)) as url:
        assert query(url, "SELECT 1") == [(1,)]


def test_an_interrupted_initdb_is_begun_again(tmp_path: Path):
    server = EmbeddedPostgres(tmp_path)
    server.pgdata.mkdir()
    (server.pgdata / "half").write_text("made")
    with server as url:
        assert query(url, "SELECT 1") == [(1,)]


def test_somebody_elses_data_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(StartupProblem, match=r"belongs to the user \w+: run as that user, or set DATA_DIR"):
        EmbeddedPostgres(tmp_path).start()


def test_data_of_another_version_is_one_clear_sentence(tmp_path: Path):
    server = EmbeddedPostgres(tmp_path)
    server.pgdata.mkdir()
    (server.pgdata / "PG_VERSION").write_text("12\n")
    with pytest.raises(StartupProblem, match="was written by PostgreSQL 12"):
        server.start()


def test_a_folder_that_cannot_be_made_is_one_clear_sentence(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(StartupProblem, match="can't be made"):
        EmbeddedPostgres(tmp_path / "file" / "postgres").start()


def test_a_server_that_will_not_start_names_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("config.server.postgres.START_TRIES", 1)
    server = EmbeddedPostgres(tmp_path, settings={"shared_buffers": "no"})
    with pytest.raises(StartupProblem, match=r"failed at pg_ctl \(see .*server\.log\)"):
        server.start()
    server.release()


def test_a_wrong_password_is_told_from_a_wrong_address(cluster: EmbeddedPostgres):
    from config.server.startup import check_database

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
