"""System checks: a deployment doesn't start with a missing or guessable secret, nor runs as the database's owner."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  Django's name
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connection

from config.change_log.targets import make_target

MIN_SECRET_LENGTH = 50
MIN_DISTINCT_CHARACTERS = 10
# Words that are too long to occur in a random key.
GUESSABLE_WORDS = ("insecure", "changeme", "change-me", "replace-me", "example", "password", "countinghouse")


@register(Tags.security)
def check_secret_key(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Report an error if a deployment has no SECRET_KEY, or a guessable one."""
    if settings.DEBUG:
        return []
    try:
        key = settings.SECRET_KEY
    except ImproperlyConfigured:  # raised by Django if the key is empty
        key = ""
    is_weak = len(key) < MIN_SECRET_LENGTH or len(set(key)) < MIN_DISTINCT_CHARACTERS
    if not is_weak and not any(word in key.lower() for word in GUESSABLE_WORDS):
        return []
    return [
        Error(
            "SECRET_KEY is missing, too short, or an example.",
            hint='Set it to a random value: python -c "import secrets; print(secrets.token_urlsafe(64))"',
            id="config.E001",
        )
    ]


@register(Tags.security)
def check_change_log_stream(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Report an error if CHANGE_LOG_STREAM can't be an address."""
    if not settings.CHANGE_LOG_STREAM:
        return []
    try:
        make_target(settings.CHANGE_LOG_STREAM, settings.CHANGE_LOG_STREAM_SECRET)
    except ValueError as error:
        return [Error(str(error), id="config.E002")]
    return []


OWNS_TABLES = """
    SELECT role.rolsuper OR pg_has_role(role.oid, migrations.relowner, 'USAGE')
    FROM pg_roles AS role, pg_class AS migrations
    WHERE role.rolname = %s AND migrations.oid = to_regclass('public.django_migrations')
"""


@register(Tags.database)
def check_database_role(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn if web and workers of a deployment may do everything in the database. `migrate` shows this."""
    if settings.DEBUG or DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    with connection.cursor() as cursor:
        cursor.execute(OWNS_TABLES, [settings.DATABASE_ROLE])
        if cursor.fetchone() != (True,):
            return []
    return [
        Warning(
            "DATABASE_URL connects as the owner of the tables, who can change what is kept from change.",
            hint="Set DATABASE_OWNER_URL to this address for `migrate`, and DATABASE_URL to one with another user."
            " `migrate` creates the user if it doesn't exist. See docs/deployment.md.",
            id="config.W001",
        )
    ]


def refuse_guessable_secret() -> None:
    """Raise ImproperlyConfigured if `check_secret_key` fails. The web server doesn't run system checks."""
    for error in check_secret_key(None):
        raise ImproperlyConfigured(f"{error.msg} {error.hint}")
