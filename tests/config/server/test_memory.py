"""The embedded PostgreSQL's memory follows that of the machine or container."""

import pytest

from config.server import memory
from config.server.memory import choose_shared_buffers, measure_memory


@pytest.mark.parametrize(
    ("gib", "buffers"), [(1, "256MB"), (2, "256MB"), (8, "1024MB"), (32, "4096MB"), (512, "4096MB")]
)
def test_an_eighth_of_the_memory_within_limits_is_for_pages(gib, buffers):
    assert choose_shared_buffers(gib * 2**30) == buffers


@pytest.mark.parametrize("limit", ["max\n", None])
def test_without_a_limit_the_machines_memory_counts(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(memory, "LIMIT_OF_CONTAINER", tmp_path / "memory.max")
    if limit:
        (tmp_path / "memory.max").write_text(limit)
    assert measure_memory() > 2**30


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "LIMIT_OF_CONTAINER", tmp_path / "memory.max")
    (tmp_path / "memory.max").write_text(f"{2**29}\n")
    assert measure_memory() == 2**29
