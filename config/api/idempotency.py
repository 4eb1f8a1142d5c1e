"""The `Idempotency-Key` header: a write that is sent twice runs once, and both requests get the same answer.

An `idempotency_key` in the body is older: the operation itself returns what it made before. `check_body_key` refuses
one that comes with another body, so that no one believes that the second request was carried out.

The answer is stored in the transaction of the write, so a crash leaves both or neither. Refusals change nothing and
aren't stored: the same request can be sent again once the cause is fixed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import pglock
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from config.api.errors import InvalidRequest, KeyInUse, KeyReused
from config.api.models import KeptAnswer, SentBody
from config.db.text import is_text

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
KEPT_FOR = timedelta(hours=24)
LONGEST_KEY = 255
KEY_RULE = f"Enter 1 to {LONGEST_KEY} printable ASCII characters."


class Answered(Exception):
    """The request was already processed; `response` is the stored answer."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__("answered before")
        self.response = response


@dataclass(frozen=True)
class Claim:
    """A request that runs for the first time, whose answer will be stored."""

    caller_id: int
    key: str
    fingerprint: str

    def keep(self, response: HttpResponse) -> None:
        """Store the rendered answer in the open transaction."""
        KeptAnswer.objects.create(
            caller_id=self.caller_id,
            key=self.key,
            fingerprint=self.fingerprint,
            status=response.status_code,
            content_type=response.headers.get("Content-Type", ""),
            body=response.content,
        )


def claim(request: Request, *, caller_id: int) -> Claim:
    """Claim a key for this request until the open transaction ends.

    Raises `Answered` if the caller sent the same method, path and body with this key in the last 24 hours, `KeyReused`
    if the request was different, `KeyInUse` while another request with the key is in progress, and `InvalidRequest` if
    the key is malformed.
    """
    key = request.headers.get(HEADER, "")
    if not key.strip() or len(key) > LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise InvalidRequest(f"{HEADER}: {KEY_RULE}", {HEADER: [KEY_RULE]})
    new_claim = Claim(caller_id, key, fingerprint_of(request))
    if not _lock(f"{caller_id}:{key}"):
        raise KeyInUse
    kept = KeptAnswer.objects.filter(caller_id=caller_id, key=key).first()
    if kept is None:
        return new_claim
    if kept.created_at <= timezone.now() - KEPT_FOR:
        kept.delete()
        return new_claim
    if kept.fingerprint != new_claim.fingerprint:
        raise KeyReused
    raise Answered(_again(kept))


def check_body_key(request: Request) -> None:
    """Remember what was sent with the body's `idempotency_key`. Raises `KeyReused` if that was another body before.

    Call it in the transaction of the write, which a refusal rolls back, so that a corrected body can be sent again.
    """
    body = request.data
    key = body.get("idempotency_key") if isinstance(body, Mapping) else None
    if not key or not isinstance(key, str) or len(key) > LONGEST_KEY or not is_text(key):
        return  # the operation has no key, or refuses it
    fingerprint = fingerprint_of(request)
    SentBody.objects.bulk_create([SentBody(path=request.path, key=key, fingerprint=fingerprint)], ignore_conflicts=True)
    if SentBody.objects.get(path=request.path, key=key).fingerprint != fingerprint:
        raise KeyReused("This idempotency_key was used with another body. Use a new key for each new request.")


def fingerprint_of(request: Request) -> str:
    """Hash method, path, query and body. Whitespace and the order of keys in a JSON body don't matter."""
    content = f"{request.method} {request.get_full_path()}\n".encode() + _plain(request.body)
    return hashlib.sha256(content).hexdigest()


def forget_old_answers(*, now: datetime) -> int:
    """Delete answers older than 24 hours; return the number deleted."""
    removed, _ = KeptAnswer.objects.filter(created_at__lte=now - KEPT_FOR).delete()
    return removed


def _plain(body: bytes) -> bytes:
    try:
        parsed = json.loads(body, parse_float=_as_written, parse_int=_as_written)
        return json.dumps(parsed, sort_keys=True).encode()
    except (ValueError, RecursionError):  # the view will refuse it, or doesn't parse it
        return body


def _as_written(number: str) -> dict[str, str]:
    return {"number": number}


def _lock(name: str) -> bool:
    return pglock.advisory(name, xact=True, timeout=0).acquire()


def _again(kept: KeptAnswer) -> HttpResponse:
    response = HttpResponse(bytes(kept.body), status=kept.status, headers={REPLAYED: "true"})
    if kept.content_type:
        response.headers["Content-Type"] = kept.content_type
    else:
        del response.headers["Content-Type"]
    return response
