"""The API key of the self-test: derived from SECRET_KEY, so that no one has to store or enter it."""

import base64
from datetime import datetime

from django.db import transaction

from config.audit import recorded
from config.server.derived import derive
from events.access.keys import PREFIX_LENGTH, hash_secret
from events.models import ApiKey, Scope


def get_self_test_key(*, now: datetime) -> tuple[ApiKey, str]:
    """Return the key with its secret, created on the first call. Keys of an earlier SECRET_KEY are revoked."""
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
    return key, secret
