"""The `Idempotency-Key` header: a write that is sent twice is carried out once, and answered the same both times.

The answer is kept in the transaction of what it answers, so a kill leaves both or neither. A refusal changed nothing
and isn't kept: the same request may be sent again once its cause is mended.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

import pglock
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from config.api.errors import InvalidRequest, KeyInUse, KeyReused
from config.api.models import KeptAnswer

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
KEPT_FOR = timedelta(hours=24)
LONGEST_KEY = 255


class Answered(Exception):
    """The request was carried out before; `response` is what was answered then."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__("answered before")
        self.response = response


@dataclass(frozen=True)
class Claim:
    """A request that is carried out for the first time, whose answer is to be kept."""

    caller_id: int
    key: str
    fingerprint: str

    def keep(self, response: HttpResponse) -> None:
        """Keep the answer, rendered, in the transaction that is open."""
        KeptAnswer.objects.create(
            caller_id=self.caller_id,
            key=self.key,
            fingerprint=self.fingerprint,
            status=response.status_code,
            content_type=response.headers.get("Content-Type", ""),
            body=response.content,
        )


def claim(request: Request, *, caller_id: int) -> Claim:
    """Take a key for this request until the open transaction ends.

    Raises `Answered` when the same caller sent the same method, path and body with it in the last 24 hours, `KeyReused`
    when it was another request, `KeyInUse` while one with this key is at work, `InvalidRequest` when it is malformed.
    """
    key = request.headers.get(HEADER, "")
    if not key.strip() or len(key) > LONGEST_KEY or not key.isascii() or not key.isprintable():
        reason = f"Give 1 to {LONGEST_KEY} printable ASCII characters."
        raise InvalidRequest(f"{HEADER}: {reason}", {HEADER: [reason]})
    mine = Claim(caller_id, key, fingerprint_of(request))
    if not _lock(f"{caller_id}:{key}"):
        raise KeyInUse
    kept = KeptAnswer.objects.filter(caller_id=caller_id, key=key).first()
    if kept is None:
        return mine
    if kept.created_at <= timezone.now() - KEPT_FOR:
        kept.delete()
        return mine
    if kept.fingerprint != mine.fingerprint:
        raise KeyReused
    raise Answered(_again(kept))


def fingerprint_of(request: Request) -> str:
    """Tell requests apart by method, path, query and body. Blanks and the order of names in a JSON body don't count."""
    said = f"{request.method} {request.get_full_path()}\n".encode() + _plain(request.body)
    return hashlib.sha256(said).hexdigest()


def forget_old_answers(*, now: datetime) -> int:
    """Remove answers that are kept no longer; return how many."""
    removed, _ = KeptAnswer.objects.filter(created_at__lte=now - KEPT_FOR).delete()
    return removed


def _plain(body: bytes) -> bytes:
    try:
        read = json.loads(body, parse_float=_as_written, parse_int=_as_written)
        return json.dumps(read, sort_keys=True).encode()
    except (ValueError, RecursionError):  # the door itself will refuse it, or doesn't read it
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
