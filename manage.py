#!/usr/bin/env python
"""Run a management command. Without DATABASE_URL, the embedded PostgreSQL is started first."""

import os
import sys

OLDEST_PYTHON = (3, 12)

# Uses only syntax of every Python 3, so that an old Python shows this message instead of a syntax error.
if sys.version_info < OLDEST_PYTHON:
    sys.exit(
        "Countinghouse needs Python 3.12 or newer, but this is Python {}.{} ({}). Run `make setup`, then use "
        ".venv/bin/python.".format(*sys.version_info[:2], sys.executable)
    )


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        from config.server.startup import StartupProblem, prepare
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} isn't installed. Run `make setup`, then use .venv/bin/python.")
    try:
        prepare(sys.argv)
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except StartupProblem as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
