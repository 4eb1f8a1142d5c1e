"""Make, use and destroy the keys of customers' personal data in the change log."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.db import connection

from config.personal_data.models import PersonalKey

PREFIX = "personal:"
ERASED = "erased"


def keys_of(customers: Iterable[int]) -> dict[int, PersonalKey]:
    """Return the keys of customers, made where there are none. One query if all exist. Safe to run concurrently."""
    customer_ids = sorted(set(customers))
    keys = {key.customer_id: key for key in PersonalKey.objects.filter(customer_id__in=customer_ids)}
    if missing := [customer for customer in customer_ids if customer not in keys]:
        new = [PersonalKey(customer_id=customer, key=Fernet.generate_key().decode()) for customer in missing]
        PersonalKey.objects.bulk_create(new, ignore_conflicts=True)
        keys |= {key.customer_id: key for key in PersonalKey.objects.filter(customer_id__in=missing)}
    return keys


def destroy_key(customer: int) -> bool:
    """Make the customer's personal data in the change log unreadable for good; return whether there was a key.

    The application can't delete keys itself, and the database's function refuses it for a customer without an erasure.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT destroy_personal_key(%s)", [customer])
        return bool(cursor.fetchone()[0])


def make_salt(customer: int) -> bytes:
    """Return a secret that is the same until the customer's key is destroyed, and can't be calculated after that."""
    return hashlib.sha256(b"salt" + keys_of([customer])[customer].key.encode()).digest()


def hide(value: Any, key: str) -> Any:
    """Return a value encrypted as text. Empty values stay as they are."""
    if value in (None, "", "None", "{}", "[]") or value == {} or value == []:
        return value
    return PREFIX + Fernet(key).encrypt(json.dumps(value, default=str).encode()).decode()


def reveal(value: Any, key: str | None) -> Any:
    """Return a value that `hide` encrypted; “erased” without its key. Other values stay as they are."""
    if not isinstance(value, str) or not value.startswith(PREFIX):
        return value
    if key is None:
        return ERASED
    try:
        return json.loads(Fernet(key).decrypt(value.removeprefix(PREFIX)))
    except InvalidToken:  # a text that only looks like one
        return value
