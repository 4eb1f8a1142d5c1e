"""Secrets from files: DATABASE_URL_FILE is the path of a file with the value of DATABASE_URL, and so on.

Docker and Kubernetes mount secrets as files. Unlike the environment, a file isn't shown by `docker inspect` or
inherited by other processes.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from config.server.problems import StartupProblem

NAMES = (
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "REDIS_URL",
    "BROKER_URL",
    "CHANGE_LOG_STREAM_SECRET",
    "EMAIL_URL",
    "ANYMAIL_WEBHOOK_SECRET",
    "METRICS_TOKEN",
    "SENTRY_DSN",
)


OF_PROVIDER = re.compile(r"(OIDC_\w+_CLIENT_SECRET)_FILE")


def load_secret_files() -> None:
    """Set each of these variables to the content of its file, if it has one. Safe to repeat. Raises StartupProblem."""
    for name in (*NAMES, *_names_of_providers()):
        if path := os.environ.get(f"{name}_FILE"):
            try:
                os.environ[name] = Path(path).read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise StartupProblem(f"{name}_FILE can't be read ({path}): {error}") from error


def _names_of_providers() -> Iterator[str]:
    """Yield the secrets of identity providers that have a file: OIDC_OKTA_CLIENT_SECRET, and so on."""
    for name in list(os.environ):
        if match := OF_PROVIDER.fullmatch(name):
            yield match[1]
