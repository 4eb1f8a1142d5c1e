"""How much memory the embedded PostgreSQL may use for its pages."""

from pathlib import Path

import psutil

LIMIT_OF_CONTAINER = Path("/sys/fs/cgroup/memory.max")
MIB = 2**20
LEAST_MIB, MOST_MIB = 256, 4_096


def measure_memory() -> int:
    """Return the machine's memory in bytes, or the limit of the container that this process runs in."""
    total = int(psutil.virtual_memory().total)
    try:
        return min(total, int(LIMIT_OF_CONTAINER.read_text()))
    except (OSError, ValueError):  # no such file, or "max"
        return total


def choose_shared_buffers(memory: int) -> str:
    """Return an eighth of the memory, from 256 MB to 4 GB. PostgreSQL takes it page by page, as data is read.

    >>> choose_shared_buffers(16 * 2**30)
    '2048MB'
    """
    return f"{min(max(memory // 8 // MIB, LEAST_MIB), MOST_MIB)}MB"
