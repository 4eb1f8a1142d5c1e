"""System checks: a deployment doesn't start with a missing or guessable secret."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

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


def refuse_guessable_secret() -> None:
    """Raise ImproperlyConfigured if `check_secret_key` fails. A WSGI server doesn't run system checks."""
    for error in check_secret_key(None):
        raise ImproperlyConfigured(f"{error.msg} {error.hint}")
