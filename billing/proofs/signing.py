"""The result of a run as a signed file, which anyone can verify with the public key.

The key is derived from SECRET_KEY, so another SECRET_KEY has another public key: keep the old one with the old files.
"""

import base64
import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

from billing.models import CompanyProfile, ProofRun
from config.change_log.models import ChangeSeal
from config.refusals import Refused
from config.server.derived import derive

FORMAT = "countinghouse-proof-1"
MOST_DIFFERENCES = 10_000


class NotSigned(Refused):
    """The file isn't a signed result, or it was changed, or it was signed with another key."""


def public_key() -> str:
    """Return the public key that verifies the files signed here, as text."""
    return _text(_key(settings.SECRET_KEY).public_key().public_bytes_raw())


def signed_result(run: ProofRun) -> bytes:
    """Write a run's signed result as a file."""
    return json.dumps(describe_signed(run), indent=2, ensure_ascii=False).encode() + b"\n"


def describe_signed(run: ProofRun) -> dict[str, Any]:
    """Describe a run's results and differences, with a signature that covers all other values."""
    content = describe(run)
    return content | {"signature": _text(_key(settings.SECRET_KEY).sign(_canonical(content)))}


def verify_result(file: bytes, key: str = "") -> dict[str, Any]:
    """Return the content of a signed file. Without a key, it must be signed with this installation's key.

    Raises `NotSigned`.
    """
    try:
        content = json.loads(file)
        signature = base64.b64decode(content.pop("signature"), validate=True)
        verifier = Ed25519PublicKey.from_public_bytes(base64.b64decode(key or public_key(), validate=True))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotSigned("This isn't a signed result of proofs, or the key isn't a public key.") from error
    try:
        verifier.verify(signature, _canonical(content))
    except InvalidSignature as error:
        raise NotSigned("The signature doesn't fit: the file was changed, or signed with another key.") from error
    return dict(content)


def describe(run: ProofRun) -> dict[str, Any]:
    """Describe a run as plain values: its results by kind, and its differences."""
    results = list(run.results.order_by("pk"))
    last = ChangeSeal.objects.exclude(number=None).order_by("-number").values_list("number", "hash").first()
    return {
        "format": FORMAT,
        "company": CompanyProfile.current().name,
        "proof": run.public_id,
        "scope": run.scope_name,
        "started_at": _moment(run.started_at),
        "finished_at": _moment(run.finished_at),
        "change_log_anchor": f"{last[0]}:{bytes(last[1] or b'').hex()}" if last else "",
        "results": [
            {
                "kind": result.kind,
                "scope": result.scope,
                "checked": result.checked,
                "proved": result.proved,
                "waiting": result.waiting,
                "differing": result.differing,
            }
            for result in results
        ],
        "differences": [
            {
                "kind": result.kind,
                "object": difference.name,
                "figure": difference.figure,
                "stated": difference.stated,
                "calculated": difference.calculated,
            }
            for result in results
            for difference in result.differences.order_by("pk")[:MOST_DIFFERENCES]
        ],
        "public_key": public_key(),
    }


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@cache
def _key(secret: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(derive("proofs", secret_key=secret))


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
