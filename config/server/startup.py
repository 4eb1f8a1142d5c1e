"""What a command needs before Django loads: a database that answers, a broker, or one clear sentence."""

import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from config.server.postgres import ensure_database
from config.server.problems import StartupProblem

__all__ = ["StartupProblem", "check_database", "check_redis", "data_dir", "prepare"]

SCHEMES = ("postgres", "postgresql")
NEED_NO_DATABASE = {"help", "version", "check", "collectstatic", "compilemessages", "makemessages", "spectacular"}
NEED_REDIS = {"serve", "demo", "bench"}


def data_dir() -> Path:
    """Return the folder everything of ours is kept in: DATA_DIR, or .data beside manage.py."""
    default = Path(__file__).resolve().parents[2] / ".data"
    return Path(os.environ.get("DATA_DIR") or default).expanduser().absolute()


def prepare(argv: list[str]) -> None:
    """Give the command in `argv` what it needs. Raises StartupProblem with the sentence to print."""
    command = argv[1] if len(argv) > 1 else "help"
    if command in NEED_NO_DATABASE or command.startswith("-") or {"--help", "-h"} & set(argv[2:]):
        return
    # An autoreloading runserver is its own child: the parent holds the server for it.
    check_database(ensure_database(data_dir()))
    if command in NEED_REDIS and os.environ.get("REDIS_URL"):
        check_redis(os.environ["REDIS_URL"])


def check_database(url: str) -> None:
    """Connect once. Raises StartupProblem when the URL is malformed, or the server refuses or is silent."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise ValueError(parts.scheme)
        if "," not in parts.netloc:  # of several hosts each has a port, which libpq reads
            _ = parts.port  # raises ValueError when it is no number
        psycopg.conninfo.conninfo_to_dict(url)
    except (ValueError, psycopg.ProgrammingError) as error:
        raise StartupProblem(
            f"DATABASE_URL is malformed ({without_password(url)}): write it as "
            "postgresql://user:password@host:5432/name, with special characters percent-encoded."
        ) from error
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        raise StartupProblem(_why_no_connection(url, str(error))) from error


def _why_no_connection(url: str, said: str) -> str:
    shown = without_password(url)
    if "password authentication failed" in said or "no password supplied" in said:
        return f"The database refused the user or password in DATABASE_URL ({shown})."
    if re.search(r'database ".*" does not exist', said):
        return f"The database server has no such database (DATABASE_URL={shown}): create it, or mend the name."
    if re.search(r'role ".*" does not exist', said):
        return f"The database server has no such user (DATABASE_URL={shown})."
    reason = " ".join(said.strip().splitlines()[0].split())
    return f"The database can't be reached (DATABASE_URL={shown}): {reason}"


def check_redis(url: str) -> None:
    """Ping once. Raises StartupProblem when the URL is malformed or Redis doesn't answer in five seconds."""
    import redis  # costs every other command a quarter of a second

    try:
        client = redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5)
    except ValueError as error:
        raise StartupProblem(
            f"REDIS_URL is malformed ({without_password(url)}): write it as redis://host:6379/0."
        ) from error
    try:
        client.ping()
    except redis.RedisError as error:
        raise StartupProblem(
            f"Redis can't be reached (REDIS_URL={without_password(url)}): {error} "
            "Start it, or unset REDIS_URL to do without."
        ) from error
    finally:
        client.close()


def without_password(url: str) -> str:
    """Return the URL with its password left out, for messages. What isn't a URL is not shown at all."""
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
    """Check the environment of a process that isn't started by manage.py; used by the container."""
    try:
        prepare(["", "serve"])
    except StartupProblem as problem:
        print(problem, file=sys.stderr)  # noqa: T201  a command line of its own
        return 1
    return 0
