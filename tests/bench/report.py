"""Write the results of `make bench` to docs/performance.md, with the chart of growth: `make performance`.

The results are also kept as docs/performance.json, from which a test makes the page and the chart again.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config.settings import BASE_DIR
from tests.bench.chart import Panel, draw, write_number
from tests.bench.results import Results, get_path, read_results

PAGE = Path(BASE_DIR, "docs", "performance.md")
RESULTS = PAGE.with_suffix(".json")
CHART = PAGE.parent / "images" / "growth.svg"
# What each figure measures, and which of its data the table shows.
MEANINGS = {
    "bulk_ingest_eps": ("Events per second from HTTP to counted, in requests of 1,000", ("events", "accepted_per_s")),
    "bulk_ingest_ratio": ("The same, compared with a COPY of these rows into an equal table", ("copy_rows_per_s",)),
    "single_ingest_ratio": (
        "Requests with one event, compared with requests to an empty view",
        ("clients", "events_per_s", "empty_per_s"),
    ),
    "metrics_cost_ratio": (
        "Processor time of counting a request for `/metrics`, compared with that of a request with one event",
        ("note_us", "request_us", "scrape_ms"),
    ),
    "counted_p95_s": (
        "Time from `202` to counted at half the sustained rate, 95th percentile",
        ("load_per_s", "probes", "median_s", "worst_s"),
    ),
    "ingest_under_attack_p95_ms": (
        "A request with one event while 16 clients sign in, search, read the schema and ask for PDFs, 95th percentile",
        ("events", "attackers", "worst_ms"),
    ),
    "ingest_under_attack_ratio": ("The same, compared with a server at rest", ("p95_ms", "p95_alone_ms")),
    "usage_query_p95_ms": (
        "A customer's usage of a feature in a month while events arrive, 95th percentile",
        ("events", "customers", "queries", "median_ms"),
    ),
    "usage_query_growth": (
        "Median of these queries, compared with a hundredth of the events",
        ("events", "median_ms", "median_ms_at_100k"),
    ),
    "worker_memory_ratio": (
        "The worker's memory, compared with a tenth of the events",
        ("mib", "mib_at_a_tenth"),
    ),
    "admin_ratio": (
        "Admin pages about events, compared with an empty admin page, 95th percentile",
        ("events", "pages", "requests", "p95_ms", "empty_p95_ms"),
    ),
    "admin_growth": (
        "Medians of these pages, compared with a hundredth of the events",
        ("events", "written_per_s"),
    ),
    "event_bytes": ("Disk space per event: ledger, indexes, usage", ("events", "wal")),
    "seal_eps": (
        "Events sealed per second by one process, from the ledger to the last deleted row",
        ("events", "parts"),
    ),
    "sealed_bytes_per_event": ("Size of an event in a part", ("events",)),
    "line_events_sealed_ratio": (
        "Events behind a customer's month of a feature, sealed, compared with the ledger",
        ("lines", "hot_ms", "sealed_ms"),
    ),
    "lookup_sealed_ms": ("A sealed event by its ID, median", ("events",)),
    "event_bytes_sealed": (
        "Disk space per event once it is sealed: in its part, its known ID, usage",
        ("events", "in_parts", "events_knownid", "events_uniquevalue"),
    ),
    "sealed_proof_hours": (
        "Hours in which one process proves 100,000 invoice lines after nine tenths of their events were sealed",
        ("lines", "events", "sealed", "parts", "hot_h"),
    ),
    "bulk_ingest_while_sealing_ratio": (
        "Events per second in requests of 1,000 while a worker seals, compared with without",
        ("events_per_s", "without_per_s"),
    ),
    "invoice_run_ratio": (
        "Invoices per second of a billing run, compared with a COPY of these rows",
        ("invoices", "lines", "invoices_per_s", "copied_per_s"),
    ),
    "invoice_run_overrides_ratio": (
        "The same with 10 agreed prices for each subscription, and 10 lines",
        ("invoices", "lines", "invoices_per_s", "copied_per_s"),
    ),
    "invoice_run_memory_ratio": (
        "Peak memory of the workers with 100,000 subscriptions, compared with 10,000",
        ("subscriptions", "peak_mib", "peak_mib_at_10k", "invoices_per_s"),
    ),
    "simulation_ratio": (
        "Simulated periods per second, compared with the invoices per second of a billing run",
        ("subscriptions", "periods", "simulated_per_s", "invoices_per_s"),
    ),
    "simulation_memory_ratio": (
        "Peak memory of the workers with 10,000 simulated subscriptions, compared with 2,500",
        ("peak_mib", "peak_mib_at_2500"),
    ),
    "proof_hours": (
        "Hours in which one process proves 100,000 invoice lines of 100 events each, on two workers half as many",
        ("lines", "events", "ms_per_line"),
    ),
    "proof_memory_ratio": (
        "Peak memory of proving four times as many lines, compared with that of the first quarter",
        ("lines", "peak_mib", "peak_mib_at_a_quarter"),
    ),
}


def main() -> int:
    if not get_path().exists():
        sys.exit(f"There are no results in {get_path()}: run `make bench` first.")
    results = read_results(get_path())
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    PAGE.write_text(write_page(PAGE.read_text(), results))
    CHART.write_text(draw_growth(results))
    return 0


def write_page(page: str, results: Results) -> str:
    """Return the page with the parts between `<!-- name -->` and `<!-- end -->` written from the results."""
    parts = {"machine": [write_machine(results)], "figures": write_figures(results), "storage": write_storage(results)}
    for name, lines in parts.items():
        before, start, rest = page.partition(f"<!-- {name} -->")
        _, end, after = rest.partition("<!-- end -->")
        page = "\n".join([before + start, "", *lines, "", end + after])
    return page


def write_machine(results: Results) -> str:
    machine = results["machine"]
    return (
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB of memory,"
        f" PostgreSQL {machine['postgresql']} with `fsync`, Python {machine['python']}, two worker processes."
        " Clients, server, worker and database share the machine, whose load average was"
        f" {machine['load_average']:g} at the start."
    )


def write_figures(results: Results) -> Iterator[str]:
    """Yield the table of all figures, in their order."""
    yield "| figure | measures | value | target | reached | with | on |"
    yield "|---|---|---:|---:|---|---|---|"
    for name, (meaning, keys) in MEANINGS.items():
        if figure := results["figures"].get(name):
            target = f"{'≤' if figure['better'] == 'smaller' else '≥'} {figure['target']:,g}"
            reached = "yes" if figure["reached"] else "**no**"
            data = ", ".join(f"{key.replace('_', ' ')} {write_datum(figure[key])}" for key in keys if key in figure)
            unit = f"({figure['unit']})" if figure["unit"][0].isdigit() else figure["unit"]
            value = f"{write_number(figure['value'])} {unit}"
            yield f"| `{name}` | {meaning} | {value} | {target} | {reached} | {data} | {figure['measured_on']} |"


def write_storage(results: Results) -> Iterator[str]:
    """Yield the table of what an event takes on disk."""
    figure = results["figures"]["event_bytes"]
    rows = {"ledger row, with its page's header and free space": figure["row"], "TOAST": figure["toast"]}
    rows |= {f"index `{name}`": size for name, size in figure["indexes"].items()}
    rows |= {f"table `{name}` with indexes": size for name, size in figure["usage_and_problems"].items()}
    yield f"| part | bytes per event, at {figure['events']:,} events |"
    yield "|---|---:|"
    for name, size in rows.items():
        yield f"| {name} | {size:,.1f} |"
    yield f"| **on disk** | **{figure['value']:,.1f}** |"
    yield f"| written to the write-ahead log | {figure['wal']:,.1f} |"


def write_datum(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else write_number(value) if isinstance(value, float) else str(value)


def draw_growth(results: Results) -> str:
    points = results["figures"]["usage_query_growth"]["growth"]
    return draw(
        [
            Panel(title, unit, [(point["events"], point[name]) for point in points])
            for name, title, unit in (
                ("usage_query_ms", "Usage query", "median, ms"),
                ("page_ms", "Admin page", "mean of the pages' medians, ms"),
                ("worker_mib", "Worker", "memory, MiB"),
                ("event_bytes", "Event on disk", "bytes"),
            )
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
