"""Connect to the database server as the owner, and run PostgreSQL's programs on it."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import psycopg
from django.conf import settings
from django.db import Error, connection
from psycopg import sql

from config.server.postgres import find_programs

MAINTENANCE = "postgres"  # the database to connect to while another is created, renamed or dropped
# The environment variable of each parameter that a connection of Django's can have.
VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}


class BackupFailed(Exception):
    """A backup couldn't be made, verified or restored; the message says why."""


# What a backup can fail with: the server, a disk or a program. Checks of a restored copy raise Django's errors.
FAILURES = (BackupFailed, psycopg.Error, Error, OSError)


def database_name() -> str:
    """Return the name of the database that this process uses."""
    return str(connection.settings_dict["NAME"])


def connect(database: str | None = None) -> "psycopg.Connection[Any]":
    """Connect as the owner, by default to the product's database, without timeouts. Every statement commits."""
    return psycopg.connect(**_parameters(), dbname=database or database_name(), autocommit=True)


def start_program(name: str, *arguments: str, output: Any) -> "subprocess.Popen[bytes]":
    """Start one of PostgreSQL's programs as the owner. Passwords are in its environment, which only its user can read.

    `output` is the file that receives its messages.
    """
    env = {VARIABLES[key]: str(value) for key, value in _parameters().items()}
    return subprocess.Popen(
        [str(find_programs() / name), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC", **env},
    )


def run_program(name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs to its end. Raises `BackupFailed` with its first message."""
    with TemporaryFile() as output:
        finish_program(start_program(name, *arguments, output=output), name, output)


def finish_program(process: "subprocess.Popen[bytes]", name: str, output: Any) -> None:
    """Wait for a program that was started. Raises `BackupFailed` with its first message if it failed."""
    if process.wait():
        output.seek(0)
        lines = output.read().decode(errors="replace").strip().splitlines()
        raise BackupFailed(f"{name} failed: {lines[0] if lines else 'it gave no reason'}")


def create_database(name: str) -> None:
    """Create an empty database. Raises `BackupFailed` if the owner has no right to."""
    with connect(MAINTENANCE) as server:
        try:
            server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege as error:
            raise BackupFailed(
                "The owner can't create databases. Set DATABASE_OWNER_URL, and run ALTER ROLE … CREATEDB as superuser."
            ) from error


def drop_database(name: str) -> None:
    """Drop a database, if it exists, and end its connections."""
    with connect(MAINTENANCE) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def load_dump(dump: Path, database: str) -> None:
    """Load a dump into an empty database. Everything in it belongs to the owner; `migrate` grants privileges."""
    jobs = str(min(4, os.cpu_count() or 1))
    options = ("--exit-on-error", "--no-owner", "--no-privileges", "--no-comments", "--jobs", jobs)
    run_program("pg_restore", *options, "--dbname", database, str(dump))


def _parameters() -> Mapping[str, Any]:
    owner = settings.DATABASE_OWNER
    named = {key: owner.get(key.upper()) for key in ("host", "port", "user", "password")}
    values = {**named, **owner.get("OPTIONS", {})}
    return {key: value for key, value in values.items() if key in VARIABLES and value}
