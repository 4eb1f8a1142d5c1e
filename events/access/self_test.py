"""The API key of the self-test: derived from SECRET_KEY, so that no one has to store or enter it."""

import base64
from datetime import datetime

from django.db import transaction

from config.audit import recorded
from config.server.derived import derive
from events.access.keys import PREFIX_LENGTH, clear_key_cache, hash_secret
from events.models import ApiKey, Scope


def get_self_test_key(*, now: datetime) -> tuple[ApiKey, str]:
    """Return the key with its secret, created on the first call. Keys of an earlier SECRET_KEY are revoked.

    The key works again if its SECRET_KEY comes back.
    """
    secret = f"sk_{base64.urlsafe_b64encode(derive('self-test key')).decode().rstrip('=')}"
    with transaction.atomic(), recorded(by=None, reason="Self-test"):
        for earlier in ApiKey.objects.filter(is_self_test=True, revoked_at=None).exclude(
            secret_hash=hash_secret(secret)
        ):
            earlier.revoked_at = now
            earlier.save(update_fields=["revoked_at", "updated_at"])
        key, _ = ApiKey.objects.get_or_create(
            prefix=secret[:PREFIX_LENGTH],
            defaults={
                "name": "Self-test",
                "secret_hash": hash_secret(secret),
                "scopes": [Scope.EVENTS_WRITE],
                "is_self_test": True,
            },
        )
        _let_work(key)
    return key, secret


def _let_work(key: ApiKey) -> None:
    """Undo what keeps the key from working: it was revoked, it expires, or a colleague's permissions limit it."""
    if key.revoked_at is None and key.expires_at is None and key.responsible_id is None:
        return
    key.revoked_at = key.expires_at = key.responsible = None
    key.save(update_fields=["revoked_at", "expires_at", "responsible", "updated_at"])
    clear_key_cache()
