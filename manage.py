#!/usr/bin/env python
"""Run one of the project's commands, with a database of our own when DATABASE_URL names none."""

import os
import sys

OLDEST_PYTHON = (3, 12)

# Written for any Python 3, so that an old one reaches the sentence below rather than a syntax error.
if sys.version_info < OLDEST_PYTHON:
    sys.exit(
        "Countinghouse needs Python 3.12 or newer; this is Python {}.{} ({}). Run `make setup`, then use "
        ".venv/bin/python.".format(*sys.version_info[:2], sys.executable)
    )


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        from config.server.startup import StartupProblem, prepare
    except ModuleNotFoundError as missing:
        sys.exit(f"{missing.name} isn't installed. Run `make setup`, then use .venv/bin/python.")
    try:
        prepare(sys.argv)
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except StartupProblem as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
