"""Write the sign-in log from the signals of Django and django-allauth, and start sessions."""

from typing import Any

from allauth.account.signals import authentication_step_completed
from allauth.mfa import signals as factors
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest

from config.signin.backends import find_user
from config.signin.confirming import note_confirmed
from config.signin.log import METHODS, how, name_of, record, signed_in_by_provider
from config.signin.models import SignInKind
from config.signin.rules import lacks_second_factor
from config.signin.sessions import LACKS_FACTOR


def connect() -> None:
    """Connect the receivers. Call once, from `AppConfig.ready`."""
    user_logged_in.connect(on_signed_in, dispatch_uid="config.signin")
    user_logged_out.connect(on_signed_out, dispatch_uid="config.signin")
    user_login_failed.connect(on_failed, dispatch_uid="config.signin")
    authentication_step_completed.connect(on_step, dispatch_uid="config.signin")
    factors.authentication_failed.connect(on_factor_failed, dispatch_uid="config.signin")
    factors.authenticator_added.connect(on_factor_added, dispatch_uid="config.signin")
    factors.authenticator_removed.connect(on_factor_removed, dispatch_uid="config.signin")
    factors.authenticator_reset.connect(on_codes_created, dispatch_uid="config.signin")


def on_signed_in(request: HttpRequest, user: User, **kwargs: Any) -> None:
    note_confirmed(request)
    request.session[LACKS_FACTOR] = lacks_second_factor(user, by_provider=signed_in_by_provider(request, user))
    record(SignInKind.SIGNED_IN, user, how(request, user), request=request)


def on_signed_out(request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    if user is not None:
        record(SignInKind.SIGNED_OUT, user, request=request)


def on_failed(credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Log a failed password with its reason, which the page doesn't tell."""
    user = find_user(str(credentials.get("username") or credentials.get("email") or ""))
    if request is not None and request.user.is_authenticated and user == request.user:
        record(SignInKind.CONFIRMATION_FAILED, user, "Wrong password", request=request)
        return
    record(SignInKind.FAILED, user, _reason(user), request=request)


def _reason(user: User | None) -> str:
    if user is None:
        return "Unknown name"
    if not (user.is_active and user.is_staff):
        return "Not active staff"
    return "Wrong password" if user.has_usable_password() else "No password set"


def on_step(request: HttpRequest, user: User, method: str, **kwargs: Any) -> None:
    if kwargs.get("reauthenticated"):
        note_confirmed(request)
        record(SignInKind.CONFIRMED, user, METHODS.get(kwargs.get("type", method), method), request=request)


def on_factor_failed(request: HttpRequest, user: User, authenticator: Any, reauthentication: bool, **kw: Any) -> None:
    kind = SignInKind.CONFIRMATION_FAILED if reauthentication else SignInKind.FAILED
    record(kind, user, "Wrong code", request=request)


def on_factor_added(request: HttpRequest, user: User, authenticator: Any, **kwargs: Any) -> None:
    kind = SignInKind.CODES_CREATED if authenticator.type == authenticator.Type.RECOVERY_CODES else None
    record(kind or SignInKind.FACTOR_ADDED, user, "" if kind else name_of(authenticator), request=request)


def on_factor_removed(request: HttpRequest, user: User, authenticator: Any, **kwargs: Any) -> None:
    request.session[LACKS_FACTOR] = lacks_second_factor(user, by_provider=signed_in_by_provider(request, user))
    if authenticator.type != authenticator.Type.RECOVERY_CODES:  # they are removed with the last second factor
        record(SignInKind.FACTOR_REMOVED, user, name_of(authenticator), request=request)


def on_codes_created(request: HttpRequest, user: User, **kwargs: Any) -> None:
    record(SignInKind.CODES_CREATED, user, request=request)
