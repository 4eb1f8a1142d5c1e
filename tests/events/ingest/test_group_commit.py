import threading
import time

import pytest

from events.ingest.group_commit import GroupCommit, NotWritten


class Refused(Exception):
    pass


class Failed(Exception):
    pass


class Disk:
    """A fake database that blocks the first write until it is released, so that other callers gather."""

    def __init__(self):
        self.writes = []
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def store(self, rows):
        self.begun.set()
        self.go_on.wait(10)
        if b"down" in rows:
            raise Failed
        if b"broken" in rows:
            raise RuntimeError
        if b"bad" in rows:
            raise Refused
        self.writes.append(rows)


@pytest.fixture
def disk():
    return Disk()


def write_side_by_side(disk, *, first, rest):
    """Write `first`, and all of `rest` during that write; return each caller's result."""
    group = GroupCommit(disk.store, refused=Refused, failed=Failed)
    got: dict[bytes, type[Exception] | None] = {}

    def write(rows):
        try:
            group.write(rows)
        except Exception as error:  # noqa: BLE001  whatever it is, it is the result
            got[rows] = type(error)
        else:
            got[rows] = None

    threads = [threading.Thread(target=write, args=[first])]
    threads[0].start()
    assert disk.begun.wait(10)
    for rows in rest:
        threads.append(threading.Thread(target=write, args=[rows]))
        threads[-1].start()
    _wait_until(lambda: len(group._gathered) == len(rest))
    disk.go_on.set()
    for thread in threads:
        thread.join(10)
    return got


def _wait_until(condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


def test_a_single_caller_writes_immediately(disk):
    disk.go_on.set()
    group = GroupCommit(disk.store, refused=Refused, failed=Failed)
    group.write(b"a")
    group.write(b"b")
    assert disk.writes == [b"a", b"b"]


def test_callers_during_a_write_share_the_next_write(disk):
    got = write_side_by_side(disk, first=b"a", rest=[b"b", b"c", b"d"])
    assert set(got.values()) == {None}
    assert len(disk.writes) == 2
    assert sorted(disk.writes[1]) == sorted(b"bcd")


def test_only_the_invalid_rows_are_refused(disk):
    got = write_side_by_side(disk, first=b"a", rest=[b"b", b"bad", b"d"])
    assert got == {b"a": None, b"b": None, b"bad": Refused, b"d": None}
    assert sorted(disk.writes) == [b"a", b"b", b"d"]


def test_a_failure_is_raised_for_every_caller_of_the_write_only(disk):
    got = write_side_by_side(disk, first=b"a", rest=[b"b", b"down"])
    assert got == {b"a": None, b"b": Failed, b"down": Failed}


def test_no_caller_waits_forever_when_the_writer_fails(disk):
    got = write_side_by_side(disk, first=b"a", rest=[b"b", b"broken"])
    assert got[b"a"] is None
    assert sorted([got[b"b"], got[b"broken"]], key=str) == sorted([NotWritten, RuntimeError], key=str)


def test_many_concurrent_callers_lose_no_rows():
    written: list[bytes] = []
    group = GroupCommit(written.append, refused=Refused, failed=Failed)

    def write(number):
        for turn in range(200):
            group.write(f"{number}-{turn} ".encode())

    threads = [threading.Thread(target=write, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    rows = b"".join(written).split()
    assert len(rows) == len(set(rows)) == 1600
