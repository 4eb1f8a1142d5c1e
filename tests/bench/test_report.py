"""The performance page is written from the results of `make bench`, and from nothing else."""

import json

from tests.bench.figures import BENCHMARKS
from tests.bench.report import CHART, MEANINGS, PAGE, RESULTS, draw_growth, write_page


def test_every_figure_is_on_the_page():
    assert sorted(MEANINGS) == sorted(name for names in BENCHMARKS.values() for name in names)


def test_the_page_and_the_chart_are_those_of_the_results():
    results = json.loads(RESULTS.read_text())
    assert write_page(PAGE.read_text(), results) == PAGE.read_text()
    assert draw_growth(results) == CHART.read_text()


def test_the_chart_labels_each_point_with_its_value():
    points = [
        {"events": events, "usage_query_ms": 1.234, "page_ms": 20.5, "worker_mib": 163.4, "event_bytes": 509.6}
        for events in (100_000, 10_000_000)
    ]
    chart = draw_growth({"figures": {"usage_query_growth": {"growth": points}}})
    assert [label for label in ("100 k", "10 M", "1.23", "20.5", "163", "510") if f">{label}<" not in chart] == []
