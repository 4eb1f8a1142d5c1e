"""Who requests and who decides: a colleague, or an API key with the colleague who is responsible for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from django.contrib.auth.models import User

from config.approvals.models import Approval


class KeyOfRequest(Protocol):
    """The API key of a request, as `request.auth` holds it."""

    @property
    def family_id(self) -> int: ...

    @property
    def responsible_id(self) -> int | None: ...

    @property
    def created_by_id(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Person:
    """A colleague in the admin, or an API key: its name, the family of its rotations, its responsible colleague.

    The secret of a key is `is_shared` unless it was shown to its responsible colleague alone.
    """

    user: User | None
    key: str = ""
    family_id: int | None = None
    is_shared: bool = False

    @property
    def colleagues(self) -> set[int]:
        """The primary keys of the colleagues who act: the one signed in, or those behind the API key."""
        ids = {self.user.pk} if self.user else set()
        return ids if self.family_id is None else ids | colleagues_behind(self.family_id)


_key: ContextVar[KeyOfRequest | None] = ContextVar("key_of_request", default=None)


def _no_one(family_id: int) -> set[int]:
    return set()


class _Lookup:
    """How the colleagues behind a family of API keys are found: `events` owns the keys."""

    colleagues_behind: Callable[[int], set[int]] = staticmethod(_no_one)


def register_colleagues_behind(lookup: Callable[[int], set[int]]) -> None:
    """Register how the colleagues behind a family of API keys are found."""
    _Lookup.colleagues_behind = staticmethod(lookup)


def colleagues_behind(family_id: int) -> set[int]:
    """Return the primary keys of the colleagues who are responsible for, or created, an API key or its rotations."""
    return _Lookup.colleagues_behind(family_id)


@contextmanager
def acting_with_key() -> Iterator[None]:
    """Let `act_with_key` name the API key that acts inside the block."""
    token = _key.set(None)
    try:
        yield
    finally:
        _key.reset(token)


def act_with_key(key: KeyOfRequest | None) -> None:
    """Name the API key of the current request."""
    _key.set(key)


def person_of(user: User | None) -> Person | None:
    """Return who acts: the colleague or, without one, the API key of the current request. None for the system."""
    if user is not None:
        return Person(user)
    key = _key.get()
    if key is None:
        return None
    responsible = User.objects.filter(pk=key.responsible_id).first() if key.responsible_id else None
    is_shared = key.created_by_id is None or key.created_by_id != key.responsible_id
    return Person(responsible, str(key), key.family_id, is_shared)


def requester_colleagues(approval: Approval) -> set[int]:
    """Return the colleagues behind a request: then and, for an API key, all who are behind it now."""
    ids = {approval.requested_by_id, approval.responsible_id} - {None}
    if approval.requested_family is not None:
        ids |= colleagues_behind(approval.requested_family)
    return {pk for pk in ids if pk is not None}
