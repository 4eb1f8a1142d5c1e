"""Check what a command needs before Django loads: a database and a broker that respond."""

import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from config.server.postgres import ensure_database
from config.server.problems import StartupProblem
from config.server.secret_files import load_secret_files

__all__ = ["StartupProblem", "check_broker", "check_database", "check_redis", "get_data_dir", "prepare"]

SCHEMES = ("postgres", "postgresql")
COMMANDS_WITHOUT_DATABASE = {
    "help",
    "version",
    "check",
    "collectstatic",
    "compilemessages",
    "makemessages",
    "spectacular",
}
MIGRATING_COMMANDS = {"migrate", "serve", "demo"}  # they create the role of DATABASE_URL if necessary
COMMANDS_WITH_BROKER = {"serve", "demo", "bench"}


def get_data_dir() -> Path:
    """Return the folder for all local data: DATA_DIR, or .data next to manage.py."""
    default = Path(__file__).resolve().parents[2] / ".data"
    return Path(os.environ.get("DATA_DIR") or default).expanduser().absolute()


def prepare(argv: list[str]) -> None:
    """Start and check what the command in `argv` needs. Raises StartupProblem if something is missing."""
    command = argv[1] if len(argv) > 1 else "help"
    if command in COMMANDS_WITHOUT_DATABASE or command.startswith("-") or {"--help", "-h"} & set(argv[2:]):
        return
    load_secret_files()
    # With autoreload, runserver starts itself as a child process, for which the parent keeps the server running.
    url, owner_url = ensure_database(get_data_dir()), os.environ.get("DATABASE_OWNER_URL")
    _check_databases(command, url, owner_url)
    if command in COMMANDS_WITH_BROKER:
        if os.environ.get("REDIS_URL"):
            check_redis(os.environ["REDIS_URL"])
        if os.environ.get("BROKER_URL"):
            check_broker(os.environ["BROKER_URL"])


def _check_databases(command: str, url: str, owner_url: str | None) -> None:
    if command == "restore":  # on a new server, neither the database nor the role of DATABASE_URL exists
        check_form(url, "DATABASE_URL")
        server_url, variable = (owner_url, "DATABASE_OWNER_URL") if owner_url else (url, "DATABASE_URL")
        check_form(server_url, variable)
        check_database(urlunsplit(urlsplit(server_url)._replace(path="/postgres")), variable)
    elif owner_url and command in MIGRATING_COMMANDS:
        check_form(url, "DATABASE_URL")  # its role may not exist yet
        check_database(owner_url, "DATABASE_OWNER_URL")
    else:
        check_database(url)


def check_database(url: str, variable: str = "DATABASE_URL") -> None:
    """Connect to the database. Raises StartupProblem if the variable's URL is malformed or the connection fails."""
    check_form(url, variable)
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        raise StartupProblem(_describe_connection_error(url, str(error), variable)) from error


def check_form(url: str, variable: str) -> None:
    """Raise StartupProblem if the variable's URL is malformed."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise ValueError(parts.scheme)
        if "," not in parts.netloc:  # several hosts have a port each, which libpq parses
            _ = parts.port  # raises ValueError unless it is a number
        psycopg.conninfo.conninfo_to_dict(url)
    except (ValueError, psycopg.ProgrammingError) as error:
        raise StartupProblem(
            f"{variable} is malformed ({hide_password(url)}): write it as "
            "postgresql://user:password@host:5432/name, with special characters percent-encoded."
        ) from error


def _describe_connection_error(url: str, error: str, variable: str) -> str:
    safe_url = hide_password(url)
    if "password authentication failed" in error or "no password supplied" in error:
        return f"The database refused the user or password in {variable} ({safe_url})."
    if re.search(r'database ".*" does not exist', error):
        return f"The database server has no such database ({variable}={safe_url}): create it, or correct the name."
    if re.search(r'role ".*" does not exist', error):
        return f"The database server has no such user ({variable}={safe_url})."
    reason = " ".join(error.strip().splitlines()[0].split())
    return f"The database can't be reached ({variable}={safe_url}): {reason}"


def check_redis(url: str) -> None:
    """Ping Redis. Raises StartupProblem if the URL is malformed or Redis doesn't respond within five seconds."""
    import redis  # noqa: PLC0415  takes a quarter of a second, which commands without Redis needn't wait

    try:
        client = redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5)
    except ValueError as error:
        raise StartupProblem(
            f"REDIS_URL is malformed ({hide_password(url)}): write it as redis://host:6379/0."
        ) from error
    try:
        client.ping()
    except redis.RedisError as error:
        raise StartupProblem(
            f"Redis can't be reached (REDIS_URL={hide_password(url)}): {error} "
            "Start it, or unset REDIS_URL to use the file broker."
        ) from error
    finally:
        client.close()


def check_broker(urls: str) -> None:
    """Connect to the broker. Raises StartupProblem if the URL is malformed or none of its brokers responds."""
    from kombu import Connection  # noqa: PLC0415  as above
    from kombu.exceptions import OperationalError  # noqa: PLC0415

    shown = ";".join(map(hide_password, urls.split(";")))
    try:
        with Connection(urls, connect_timeout=5) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
    except (KeyError, ValueError) as error:
        raise StartupProblem(
            f"BROKER_URL is malformed ({shown}): write it as amqp://user:password@host:5672// or redis://host:6379/0."
        ) from error
    except (OperationalError, OSError) as error:
        raise StartupProblem(
            f"The broker can't be reached (BROKER_URL={shown}): {error} Start it, or correct the address."
        ) from error


def hide_password(url: str) -> str:
    """Return the URL without its password, for messages. Text that isn't a URL is replaced."""
    try:
        parts = urlsplit(url)
        if not parts.scheme or "@" not in parts.netloc:
            return url if parts.scheme else "not a URL"
        user = parts.username or ""
        host = parts.netloc.rsplit("@", 1)[1]
    except ValueError:
        return "not a URL"
    return urlunsplit(parts._replace(netloc=f"{user}@{host}"))


def main() -> int:
    """Check the environment of a process that manage.py doesn't start. The container runs this."""
    try:
        prepare(["", "serve"])
    except StartupProblem as problem:
        print(problem, file=sys.stderr)  # noqa: T201  a command
        return 1
    return 0
