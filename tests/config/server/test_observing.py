"""Metrics of requests have few series, and those of an earlier web server are removed."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from pytest_django import Settings

from config.server.observing import Observer, empty_folder
from config.server.requests import ROUTE


def test_methods_that_clients_invent_are_one_series(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    settings.METRICS_TOKEN = "token"
    observer = Observer()
    for method in ("GET", "POST", "get", "PURGE", *(f"X{number}" for number in range(100))):
        observer.note({"REQUEST_METHOD": method, ROUTE: "/v1/plans"}, 405, 0.01)
    assert {key[0] for key in observer._series} == {"GET", "POST", "OTHER"}


def make_counts(folder: Path) -> list[str]:
    (folder / "histogram_7.db").write_bytes(b"counts")
    return sorted(path.name for path in folder.glob("*.db"))


def test_a_web_server_removes_the_counts_of_those_that_ended(tmp_path: Path):
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    empty_folder(tmp_path, server=ended.pid)
    assert make_counts(tmp_path) == ["histogram_7.db"]
    ended.communicate(b"\n")
    empty_folder(tmp_path, server=os.getpid())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["servers"]


def test_the_processes_of_a_web_server_keep_their_counts_and_so_do_others_that_are_alive(tmp_path: Path):
    empty_folder(tmp_path, server=os.getpid())
    make_counts(tmp_path)
    empty_folder(tmp_path, server=os.getpid())
    empty_folder(tmp_path, server=psutil.Process().ppid())
    assert (tmp_path / "histogram_7.db").exists()
    assert len((tmp_path / "servers").read_text().splitlines()) == 2


def test_a_process_with_the_number_of_one_that_ended_is_another(tmp_path: Path):
    (tmp_path / "servers").write_text(f"{os.getpid()} {psutil.Process().create_time() - 3600}\n")
    make_counts(tmp_path)
    empty_folder(tmp_path, server=os.getpid())
    assert not (tmp_path / "histogram_7.db").exists()
