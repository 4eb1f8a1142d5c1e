"""Measure the product's performance figures against physical limits on this machine: `make bench`.

Prints one JSON line for each figure, and a table of all figures. ONLY=name measures one figure. The benchmark takes
several minutes and uses its own PostgreSQL with fsync on, in a folder that is emptied first. EVENTS=100000 fills the
ledger with that number of events instead of ten million. KEEP=1 keeps the data of the previous run.
"""

import argparse
import os
import shutil
import sys

from config.server.postgres import EmbeddedPostgres
from config.server.startup import get_data_dir
from tests.bench.figures import Figure, print_table, select


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", help="measure only this figure and the other figures of its benchmark")
    options = parser.parse_args()
    folder = get_data_dir() / "bench"
    if os.environ.get("KEEP", "0") == "0":
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["DATA_DIR"] = str(folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.settings"
    os.environ.pop("REDIS_URL", None)
    with EmbeddedPostgres(folder / "postgres") as url:
        os.environ["DATABASE_URL"] = url
        import django  # after the environment is set

        django.setup()
        figures: list[Figure] = []
        for benchmark in select(options.only):
            for figure in benchmark():
                figures.append(figure)
                print(figure.as_json, flush=True)
    print_table(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
