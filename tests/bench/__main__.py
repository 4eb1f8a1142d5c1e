"""`make bench`: measure the product's figures against physical limits, in one run on this machine.

Prints a table and, for every figure, one JSON line. ONLY=name measures one. It uses a PostgreSQL of its own, with fsync
on, in a folder that it empties first, and takes some minutes. EVENTS=100000 fills the ledger with that many instead of
ten million; KEEP=1 goes on with the data of the run before.
"""

import argparse
import os
import shutil
import sys

from config.server.postgres import EmbeddedPostgres
from config.server.startup import get_data_dir
from tests.bench.figures import Measured, print_table, select


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", help="measure this figure only (and those that come with it)")
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
        import django

        django.setup()
        measured: list[Measured] = []
        for benchmark in select(options.only):
            for figure in benchmark():
                measured.append(figure)
                print(figure.as_json, flush=True)
    print_table(measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
