"""Secrets that every process of an installation can calculate from SECRET_KEY, so that they needn't be stored."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


def derive(purpose: str, *, length: int = 32, secret_key: str = "") -> bytes:
    """Return bytes for one purpose, from which neither SECRET_KEY nor those of another purpose can be found."""
    info = f"countinghouse {purpose}".encode()
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(
        (secret_key or settings.SECRET_KEY).encode()
    )
