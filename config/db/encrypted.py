"""Text that is encrypted at rest with a key derived from SECRET_KEY, for secrets that must be readable again."""

import base64
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.db import models, transaction
from django.db.models.functions import Cast

from config.server.derived import derive

PREFIX = "enc1:"


class EncryptedTextField(models.TextField):
    """A text that only processes with SECRET_KEY, or one of SECRET_KEY_FALLBACKS, can read. It can't be searched.

    A value that an earlier release stored in the clear is read as it is, until `encrypt_again` has encrypted it.
    """

    def get_prep_value(self, value: Any) -> str | None:
        text = super().get_prep_value(value)
        return encrypt_text(text) if text else text

    def from_db_value(self, value: str | None, *args: Any) -> str | None:
        """Decrypt. Raises `InvalidToken` if none of the keys fits: nothing may be signed with garbage."""
        return decrypt_text(value) if value else value


def encrypt_text(text: str) -> str:
    """Return the text encrypted with the present SECRET_KEY."""
    return PREFIX + _fernet(*_secrets()).encrypt(text.encode()).decode()


def decrypt_text(text: str) -> str:
    """Return an encrypted text in the clear, and a text in the clear as it is. Raises `InvalidToken` if no key fits."""
    return _fernet(*_secrets()).decrypt(text.removeprefix(PREFIX)).decode() if text.startswith(PREFIX) else text


def encrypt_again() -> int:
    """Encrypt each value that isn't encrypted with the present SECRET_KEY; return the number of rows. Safe to repeat.

    After it, the keys in SECRET_KEY_FALLBACKS aren't needed for these values anymore.
    """
    return sum(
        _encrypt_rows(model, names)
        for model in apps.get_models()
        if (names := [field.attname for field in model._meta.local_fields if isinstance(field, EncryptedTextField)])
    )


def _encrypt_rows(model: type[models.Model], names: list[str]) -> int:
    """Encrypt rows one by one: each is locked only for its own update."""
    raw = {f"raw_{name}": Cast(name, models.TextField()) for name in names}
    rows = model._default_manager.order_by("pk").annotate(**raw).values_list("pk", *raw)
    keys = [pk for pk, *values in rows.iterator() if not all(_is_present(value) for value in values)]
    for pk in keys:
        with transaction.atomic():
            for row in model._default_manager.select_for_update().filter(pk=pk).only(*names):
                model._default_manager.filter(pk=pk).update(**{name: getattr(row, name) for name in names})
    return len(keys)


def _is_present(value: str | None) -> bool:
    """Return whether a stored value is empty, or encrypted with the present SECRET_KEY."""
    if not value:
        return True
    if not value.startswith(PREFIX):
        return False
    try:
        _fernet(settings.SECRET_KEY).decrypt(value.removeprefix(PREFIX))
    except InvalidToken:
        return False
    return True


def _secrets() -> tuple[str, ...]:
    return (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


@cache
def _fernet(*secrets: str) -> MultiFernet:
    """Encrypt with the first secret, decrypt with any."""
    keys = [derive("encrypted text", secret_key=secret) for secret in secrets]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])
