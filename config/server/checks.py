"""System checks of our own: a deployment never runs on a laptop's or a demo's secrets."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

SHORTEST_SECRET = 50
FEWEST_DIFFERENT_CHARACTERS = 10
# Long enough never to turn up in a random key.
GIVEAWAYS = ("insecure", "changeme", "change-me", "replace-me", "example", "password", "countinghouse")


@register(Tags.security)
def secret_key_is_a_secret(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Refuse to run a deployment without a SECRET_KEY, or with one that a person could guess."""
    if settings.DEBUG:
        return []
    try:
        key = settings.SECRET_KEY
    except ImproperlyConfigured:  # how Django says that it is empty
        key = ""
    weak = len(key) < SHORTEST_SECRET or len(set(key)) < FEWEST_DIFFERENT_CHARACTERS
    if not weak and not any(word in key.lower() for word in GIVEAWAYS):
        return []
    return [
        Error(
            "SECRET_KEY is missing, short, or a demo's.",
            hint='Put a random one in the environment: python -c "import secrets; print(secrets.token_urlsafe(64))"',
            id="config.E001",
        )
    ]


def refuse_guessable_secret() -> None:
    """Raise ImproperlyConfigured where the check above fails: a WSGI server runs no system checks by itself."""
    for error in secret_key_is_a_secret(None):
        raise ImproperlyConfigured(f"{error.msg} {error.hint}")
