"""What every store of parts does: writes a part once, reads it exactly, and names what is missing or altered."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.history.selection import EventSelection
from events.history.stores import Store, StoreFailed, get_store, open_store

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
ALL = EventSelection()
csv.field_size_limit(2**30)
type Row = tuple[int, int, datetime, str, str, str]


@pytest.fixture(params=["file", "s3", pytest.param("clickhouse", marks=pytest.mark.clickhouse)])
def store(request, tmp_path, settings) -> Store:
    """Return an empty store of each kind."""
    settings.EVENT_HISTORY = (
        (tmp_path / "history").as_uri()
        if request.param == "file"
        else request.getfixturevalue({"s3": "bucket", "clickhouse": "clickhouse"}[request.param])
    )
    return get_store()


@pytest.fixture
def folder_store(tmp_path, settings) -> Store:
    settings.EVENT_HISTORY = (tmp_path / "history").as_uri()
    return get_store()


def line(row: Row) -> str:
    """Write a row as PostgreSQL does: texts in quotes, null as nothing."""
    id_, customer, at, event_id, name, properties = row
    moment = f"{at:%Y-%m-%d %H:%M:%S.%f}"
    texts = (event_id, name, "acme", "", properties)
    quoted = ('"' + text.replace('"', '""') + '"' for text in texts)
    return f"{id_},{customer},,{moment},{moment},{moment},t,{','.join(quoted)}\n"


def write(store: Store, name: str, rows: list[Row], folder: Path) -> int:
    file = folder / "rows.csv"
    file.write_text("".join(map(line, rows)), newline="")
    return store.write(name, file)


def read(store: Store, names: list[str], selection: EventSelection = ALL, **limit: int) -> list[Row]:
    """Read rows, and order them by position."""
    return sorted(read_in_order(store, names, selection, **limit))


def read_in_order(store: Store, names: list[str], selection: EventSelection = ALL, **limit: int) -> list[Row]:
    text = b"".join(store.read(names, selection, **limit)).decode()
    rows = csv.reader(io.StringIO(text, newline=""))
    return [
        (int(row[0]), int(row[1]), datetime.fromisoformat(row[3]).replace(tzinfo=UTC), row[7], row[8], row[11])
        for row in rows
    ]


def row(number: int, customer: int = 1, name: str = "api.calls", at: datetime = NOON) -> Row:
    return (number, customer, at, f"event-{number}", name, '{"tokens": 12.50}')


def test_what_is_written_is_read_in_the_same_order(store, tmp_path):
    rows = [row(number, customer=number // 40_000) for number in range(100_000)]
    assert write(store, "events-1-a", rows, tmp_path) < 60 * len(rows)
    assert read_in_order(store, ["events-1-a"]) == rows


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=20))
def test_any_text_is_kept(store, tmp_path, texts):
    rows: list[Row] = [(number, 1, NOON, text, text[::-1], text) for number, text in enumerate(texts)]
    write(store, "events-1-texts", rows, tmp_path)
    assert read(store, ["events-1-texts"]) == rows


@pytest.mark.parametrize(
    "text", ["", " ", '"', '""', "a,b", "\\.", "\r\n", "\n", "NULL", "\\N", "𝄞\u2028", "'; --", "\t"]
)
def test_odd_texts_are_kept(store, tmp_path, text):
    rows: list[Row] = [(1, 1, NOON, text, text, text), row(2)]
    write(store, "events-1-odd", rows, tmp_path)
    assert read(store, ["events-1-odd"]) == rows
    assert read(store, ["events-1-odd"], EventSelection(event_ids=[text])) == rows[:1]
    assert read(store, ["events-1-odd"], EventSelection(names=[text])) == rows[:1]


def test_a_row_of_many_megabytes_is_kept(store, tmp_path):
    rows: list[Row] = [(1, 1, NOON, "event-1", "api.calls", '{"text": "' + "x" * 33_000_000 + '"}'), row(2)]
    write(store, "events-1-large", rows, tmp_path)
    assert read(store, ["events-1-large"]) == rows


def test_numbers_and_times_are_exact(store, tmp_path):
    times = [datetime(1970, 1, 1, tzinfo=UTC), datetime(2299, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), NOON]
    rows: list[Row] = [
        (2**63 - 1 - place, 2**53 + 1, at, f"e{place}", "n", '{"n": 0.1000000000000000055511151231257827}')
        for place, at in enumerate(times)
    ]
    write(store, "events-1-exact", rows, tmp_path)
    assert read(store, ["events-1-exact"]) == sorted(rows)


def test_rows_are_selected_by_customer_name_time_and_id(store, tmp_path):
    rows = [
        row(place, customer=place % 3, name=f"n{place % 2}", at=NOON + timedelta(microseconds=place))
        for place in range(60)
    ]
    write(store, "events-1-a", rows[:30], tmp_path)
    write(store, "events-2-b", rows[30:], tmp_path)
    names = ["events-1-a", "events-2-b"]
    start, end = NOON + timedelta(microseconds=7), NOON + timedelta(microseconds=41)
    selection = EventSelection(customers=[1, 2], names=["n1"], start=start, end=end)
    expected = [item for item in rows if item[1] in (1, 2) and item[4] == "n1" and start <= item[2] < end]
    assert read(store, names, selection) == expected
    assert read(store, names, EventSelection(ids=[3, 44])) == [rows[3], rows[44]]
    assert read(store, names, EventSelection(customers=[])) == []
    assert read(store, [], ALL) == []
    assert len(read(store, names, ALL, most=7)) == 7
    between = EventSelection(after=20, before=40)
    assert read_in_order(store, names, between, most=3, newest=True) == [rows[39], rows[38], rows[37]]
    assert read_in_order(store, names, between, most=3, newest=False) == [rows[21], rows[22], rows[23]]


def test_writing_again_replaces_the_part(store, tmp_path):
    write(store, "events-1-a", [row(1), row(2)], tmp_path)
    digest = store.digest("events-1-a")
    write(store, "events-1-a", [row(3)], tmp_path)
    assert read(store, ["events-1-a"]) == [row(3)]
    assert not digest or store.digest("events-1-a") != digest


def test_a_part_that_cannot_be_written_is_not_there(store, tmp_path):
    (tmp_path / "rows.csv").write_text("not,a,row\n")
    with pytest.raises(StoreFailed, match="events-1-a"):
        store.write("events-1-a", tmp_path / "rows.csv")
    with pytest.raises(StoreFailed, match="events-1-a"):
        read(store, ["events-1-a"])


def test_a_truncated_part_is_refused_by_its_name(folder_store, tmp_path):
    store = folder_store
    write(store, "events-1-a", [row(number) for number in range(1_000)], tmp_path)
    file = next((tmp_path / "history").iterdir())
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(StoreFailed, match="events-1-a"):
        read(store, ["events-1-a"])


def test_parts_are_listed_and_deleted(store, tmp_path):
    write(store, "events-1-a", [row(1)], tmp_path)
    write(store, "events-2-b", [row(2)], tmp_path)
    assert [name for name, _ in store.names()] == ["events-1-a", "events-2-b"]
    for _ in range(2):
        store.delete("events-1-a")
    assert [name for name, _ in store.names()] == ["events-2-b"]


def test_a_store_says_that_it_cannot_be_reached(store, tmp_path):
    store.check()
    assert list(store.names()) == []
    (tmp_path / "file").write_text("")
    for url in (f"file://{tmp_path}/file/history", "s3://bucket?endpoint_url=http://127.0.0.1:1&region=x"):
        with pytest.raises(StoreFailed, match="can't be written"):
            open_store(url).check()


@pytest.mark.parametrize("url", ["ftp://host/path", "history", "file://relative/path", "s3://", "s3://bucket?acl=x"])
def test_an_address_that_is_no_store_is_refused(url):
    with pytest.raises(ImproperlyConfigured, match="EVENT_HISTORY"):
        open_store(url)
