"""What django-allauth asks of this project: texts, limits with the time of the next try, and who may sign in."""

import math
import time
from typing import Any, cast

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString
from qrcode import make as make_qr_code
from qrcode.image.svg import SvgPathImage

from config.db.encrypted import decrypt_text, encrypt_text
from config.signin.backends import StaffBackend, find_user
from config.signin.confirming import is_confirmed
from config.signin.limits import too_many
from config.signin.log import record
from config.signin.models import SignInKind

WRONG = "The name or the password is wrong."
WRONG_CODE = "The code is wrong, or was used already."
NO_COLLEAGUE = "No colleague has the email address with which you signed in there. Ask an owner to add you."
LOCK = "login_failed"


class AccountAdapter(DefaultAccountAdapter):
    """Limits sign-ins by account and address before a password is checked, and says when to try again."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": WRONG,
        "email_password_mismatch": WRONG,
        "incorrect_password": "The password is wrong.",
        "incorrect_code": WRONG_CODE,
        "too_many_login_attempts": "There were too many attempts. Try again in 15 minutes.",
        "rate_limited": "There were too many attempts. Try again in 15 minutes.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False  # owners add colleagues

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count the attempt. Beyond a limit, answer 429 without checking the password."""
        key = self._get_login_attempts_cache_key(request, **credentials)
        self._login_failed_rl_usage = ratelimit.consume(request, app="allauth.account", action=LOCK, key=key)
        if not self._login_failed_rl_usage:
            until = limited_until(request, key)
            note_lock(request, find_user(_name_in(credentials)), until)
            raise ImmediateHttpResponse(too_many(request, until))

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Count by account, whichever of its names was typed."""
        name = _name_in(credentials)
        user = find_user(name)
        return f"user:{user.pk}" if user is not None else f"name:{name.casefold()}"

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address as `config.server.requests` left it."""
        return request.META.get("REMOTE_ADDR") or "unknown"

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        request = context.request
        return request is None or not is_confirmed(request)

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponse:
        """Refuse a colleague whose passkey or identity provider is right, but who can't sign in any more."""
        record(SignInKind.FAILED, user, "Not active staff", request=request)
        messages.error(request, "Your account can't sign in. Ask an owner.")
        return HttpResponseRedirect(reverse("account_login"))

    def pre_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse | None:
        if not StaffBackend().user_can_authenticate(user):
            return self.respond_user_inactive(request, user)
        response: HttpResponse | None = super().pre_login(request, user, **kwargs)
        return response

    def add_message(self, request: HttpRequest, level: int, *args: Any, **kwargs: Any) -> None:
        """Say only what failed: pages show what succeeded."""
        if level >= messages.WARNING:
            super().add_message(request, level, *args, **kwargs)


class FactorAdapter(DefaultMFAAdapter):
    """Second factors: their secrets are encrypted at rest."""

    error_messages = DefaultMFAAdapter.error_messages | {"incorrect_code": WRONG_CODE}

    def encrypt(self, text: str) -> str:
        return encrypt_text(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt_text(encrypted_text)

    def build_totp_svg(self, url: str) -> SafeString:
        """Return the QR code as an SVG element. It contains nothing but a path."""
        image = make_qr_code(url, image_factory=SvgPathImage, border=2)
        return SafeString(image.to_string(encoding="unicode"))  # the library makes it from numbers

    def generate_authenticator_name(self, *args: Any, **kwargs: Any) -> str:
        return "This device"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        entity: dict[str, str] = super().get_public_key_credential_rp_entity()
        return entity | {"name": "Countinghouse"}


class ProviderAdapter(DefaultSocialAccountAdapter):
    """Through identity providers, colleagues sign in that an owner has added. No one is created."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Recognize a colleague by the email address that the provider has verified, the first time."""
        if sociallogin.is_existing:
            return
        addresses = [entry.email for entry in sociallogin.email_addresses if entry.verified]
        users = [user for address in addresses if (user := find_user(address)) is not None]
        if users and not request.user.is_authenticated:
            sociallogin.connect(request, users[0])
            return
        record(SignInKind.FAILED, None, f"{sociallogin.provider.name}: no colleague", request=request)
        messages.error(request, NO_COLLEAGUE)
        raise ImmediateHttpResponse(HttpResponseRedirect(reverse("account_login")))

    def on_authentication_error(self, request: HttpRequest, provider: Any, *args: Any, **kwargs: Any) -> None:
        """Return to the sign-in with a message when the provider refused, or couldn't be reached."""
        name = getattr(provider, "name", "The identity provider")
        record(SignInKind.FAILED, None, f"{name}: {kwargs.get('error') or 'error'}", request=request)
        messages.error(request, f"{name} didn't sign you in. Try again, or ask an owner.")
        raise ImmediateHttpResponse(HttpResponseRedirect(reverse("account_login")))


def limited_until(request: HttpRequest, key: str) -> float:
    """Return the Unix time from which the next attempt is allowed."""
    times = [time.time() + 1]
    for rate in ratelimit.get_rates(app="allauth.account", action=LOCK):
        attempts = cache.get(ratelimit.get_cache_key(request, app="allauth.account", action=LOCK, rate=rate, key=key))
        if attempts and len(attempts) >= rate.amount:
            times.append(attempts[rate.amount - 1] + rate.duration)
    return math.ceil(max(times))


def note_lock(request: HttpRequest, user: User | None, until: float) -> None:
    """Log a lock once, however many attempts follow until it ends."""
    who = f"user:{user.pk}" if user is not None else f"address:{request.META.get('REMOTE_ADDR')}"
    if cache.add(f"sign-in-locked:{who}", True, timeout=max(1, until - time.time())):
        record(SignInKind.LOCKED, user, "Too many attempts", request=request)


def _name_in(credentials: dict[str, Any]) -> str:
    return cast(str, credentials.get("username") or credentials.get("email") or "")
