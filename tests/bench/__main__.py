"""Measure the product's performance figures against physical limits on this machine: `make bench`.

Prints one JSON line for each figure, and a table of all figures, and saves them in DATA_DIR/bench.json, from which
`make performance` writes docs/performance.md. ONLY=name measures one figure and keeps the results of the others. The
benchmark takes about half an hour and uses its own PostgreSQL with fsync on, in a folder that is emptied first.
EVENTS=100000 fills the ledger with that number of events instead of ten million. KEEP=1 keeps the data of the previous
run.
"""

import argparse
import os
import shutil
import sys
import time

from config.server.postgres import EmbeddedPostgres
from config.server.startup import get_data_dir
from tests.bench.figures import Figure, print_table, select
from tests.bench.results import describe_machine, get_path, save


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", help="measure only this figure and the other figures of its benchmark")
    options = parser.parse_args()
    started = time.monotonic()
    folder, results, machine = get_data_dir() / "bench", get_path(), describe_machine()
    if os.environ.get("KEEP", "0") == "0":
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["DATA_DIR"] = str(folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.settings"
    os.environ.pop("REDIS_URL", None)
    with EmbeddedPostgres(folder / "postgres") as url:
        os.environ["DATABASE_URL"] = os.environ["DATABASE_OWNER_URL"] = url  # benchmarks empty tables
        import django  # after the environment is set

        django.setup()
        figures: list[Figure] = []
        for benchmark in select(options.only):
            for figure in benchmark():
                figures.append(figure)
                print(figure.as_json, flush=True)
                save(results, figure, machine)
    print_table(figures)
    print(f"\nMeasured in {(time.monotonic() - started) / 60:.0f} minutes.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
