"""Sessions in the database with whose they are, where they were last used, and until when they last.

This module is Django's `SESSION_ENGINE`.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone

from config.db.text import is_text, writable
from config.server.requests import parse_address
from config.signin.models import LONGEST_AGENT, StaffSession

SEEN_EVERY_S = 60  # a session's row is written at most once a minute, unless its data changes
LACKS_FACTOR = "lacks_second_factor"  # the key in a session: its colleague has to set one up first


class SessionStore(db.SessionStore):
    """A session whose row names the colleague, and that the rules for signing in end.

    The middleware sets `address` and `user_agent` to those of the request.
    """

    address: str | None = None
    user_agent: str = ""
    _row: StaffSession | None = None

    @classmethod
    def get_model_class(cls) -> type[StaffSession]:
        return StaffSession

    def _get_session_from_db(self) -> StaffSession | None:
        """Load the row unless the session is over: idle for too long, too old, or expired."""
        key = self.session_key
        self._row = StaffSession.objects.live().filter(session_key=key).first() if key and is_text(key) else None
        if self._row is None:
            self._session_key = None
        return self._row

    def create_model_instance(self, data: Mapping[str, Any]) -> StaffSession:
        """Return the row to save. The time of the sign-in stays while the colleague is the same."""
        row = cast(StaffSession, super().create_model_instance(data))  # type: ignore[arg-type]
        row.user_id = int(data[SESSION_KEY]) if SESSION_KEY in data else None
        row.last_seen_at, row.address, row.user_agent = Now(), self.address, self.user_agent
        row.signed_in_at = Now()
        if self._row is not None and self._row.user_id == row.user_id:
            row.signed_in_at = self._row.signed_in_at
        return row

    def was_seen(self) -> bool:
        """Note that the session is in use. Returns whether that was due, which it is once a minute."""
        now = timezone.now()
        if self._row is None or (now - self._row.last_seen_at).total_seconds() < SEEN_EVERY_S:
            return False
        self._row.last_seen_at = now
        values = {"last_seen_at": Now(), "address": self.address, "user_agent": self.user_agent}
        StaffSession.objects.filter(pk=self._row.pk).update(**values)
        return True


def describe_client(session: Any, request: HttpRequest) -> None:
    """Tell the session from where it is used."""
    session.address = address_of(request)
    session.user_agent = agent_of(request)


def address_of(request: HttpRequest) -> str | None:
    """Return the client's address, which is a trusted proxy's word or the connection's (`config.server.requests`)."""
    address = parse_address(request.META.get("REMOTE_ADDR", ""))
    return str(address) if address else None


def agent_of(request: HttpRequest) -> str:
    return writable(request.META.get("HTTP_USER_AGENT", "").replace("\x00", ""))[:LONGEST_AGENT]


def end_sessions(user: User, *, but: str | None = None, only: str | None = None) -> int:
    """Sign the user out everywhere but in the session with the key `but`; return in how many.

    `only` is the public id of the one session to end.
    """
    rows = list(StaffSession.objects.filter(user=user).exclude(pk=but or ""))
    keys = [row.pk for row in rows if only in (None, public_id(row))]
    live = StaffSession.objects.live().filter(pk__in=keys).count()
    StaffSession.objects.filter(pk__in=keys).delete()
    return live


def public_id(row: StaffSession) -> str:
    """Return what pages call the session. Its key would let anyone in who reads it."""
    return sha256(row.session_key.encode()).hexdigest()[:20]


def prune_sessions() -> int:
    """Delete sessions that are over, also those that earlier releases kept in Django's table; return how many."""
    Session.objects.filter(expire_date__lte=Now()).delete()
    return StaffSession.objects.over().delete()[0]
