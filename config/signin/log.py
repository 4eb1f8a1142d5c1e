"""The sign-in log: every sign-in, failure and lock, and every change of how a colleague signs in."""

from datetime import datetime, timedelta
from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from allauth.core import context
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest

from config.audit import record_change
from config.server.requests import REQUEST_ID
from config.signin.models import SignInEvent, SignInKind
from config.signin.sessions import address_of, agent_of

METHODS = {
    "password": "Password",
    "socialaccount": "Identity provider",
    "link": "Password link",
    Authenticator.Type.TOTP: "Authenticator app",
    Authenticator.Type.WEBAUTHN: "Passkey",
    Authenticator.Type.RECOVERY_CODES: "Recovery code",
}
# Changes of how a colleague signs in, which the change log holds, too. It watches passwords itself (`config.audit`).
CHANGES = {
    SignInKind.FACTOR_ADDED: ("second factor", "added"),
    SignInKind.FACTOR_REMOVED: ("second factor", "removed"),
    SignInKind.CODES_CREATED: ("recovery codes", "created"),
    SignInKind.SESSIONS_ENDED: ("sessions", "ended"),
}


def record(kind: SignInKind, user: User | None, detail: str = "", *, request: HttpRequest | None = None) -> SignInEvent:
    """Write a row of the log, and of the change log if the event is a change. Outside of requests it has no address."""
    request = request or context.request
    meta = request.META if request is not None else {}
    if user is not None and kind in CHANGES:
        field, change = CHANGES[kind]
        record_change(user, field, "", f"{change}: {detail}" if detail else change)
    return SignInEvent.objects.create(
        kind=kind,
        user=user,
        username=user.get_username() if user is not None else "",
        detail=detail[:200],
        address=address_of(request) if request is not None else None,
        user_agent=agent_of(request) if request is not None else "",
        request_id=meta.get(REQUEST_ID, ""),
    )


def how(request: HttpRequest, user: User) -> str:
    """Return how the user signed in, such as "Password and authenticator app"."""
    names: list[str] = []
    for entry in get_authentication_records(request, user):
        if not entry.get("reauthenticated"):
            name = METHODS.get(entry.get("type") or entry["method"], entry["method"])
            names += [name] if name not in names else []
    first, *others = names or [""]
    return " and ".join([first, *(name.lower() for name in others)])


def signed_in_by_provider(request: HttpRequest, user: User) -> bool:
    return any(entry["method"] == "socialaccount" for entry in get_authentication_records(request, user))


def prune_log(*, now: datetime) -> int:
    """Delete rows older than `SIGN_IN_LOG_DAYS`; return how many. 0 keeps them."""
    days = settings.SIGN_IN_LOG_DAYS
    return SignInEvent.objects.filter(at__lt=now - timedelta(days=days)).delete()[0] if days else 0


def name_of(authenticator: Any) -> str:
    """Return the name of a second factor: its type, and a passkey's own name."""
    kind = METHODS[authenticator.type]
    return f"{kind} “{authenticator.wrap().name}”" if authenticator.type == Authenticator.Type.WEBAUTHN else kind
