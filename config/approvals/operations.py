"""How operations are carried out, and what deciding about them requires. Each app registers its own."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from config.approvals.kinds import Operation
from config.approvals.models import Approval


@dataclass(frozen=True, slots=True)
class Handler:
    """How an approved request is carried out.

    `carry_out` calls the domain function that was called when the approval was requested, and returns the row that was
    created or changed, or a text about the outcome. `permissions` and `scopes` are needed to request it and so to
    decide about it. `drop` cleans up if the request is rejected, withdrawn or expired, or couldn't be carried out.
    """

    carry_out: Callable[[Approval, datetime], Any]
    permissions: tuple[str, ...]
    scopes: Callable[[Approval], list[str]]
    drop: Callable[[Approval, datetime], None] | None = None


_handlers: dict[str, Handler] = {}


def register(
    operation: Operation,
    carry_out: Callable[[Approval, datetime], Any],
    *,
    permissions: tuple[str, ...],
    scopes: tuple[str, ...] | Callable[[Approval], list[str]],
    drop: Callable[[Approval, datetime], None] | None = None,
) -> None:
    """Register how an operation is carried out. Call once, from `AppConfig.ready`."""
    scopes_of = scopes if callable(scopes) else lambda approval: list(scopes)
    _handlers[operation] = Handler(carry_out, permissions, scopes_of, drop)


def handler_of(approval: Approval) -> Handler:
    """Return how a request is carried out."""
    return _handlers[approval.operation]
