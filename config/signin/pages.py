"""The pages of the sign-in, and Sign-in and security: a colleague's own second factor, sessions and latest sign-ins."""

from typing import Any
from urllib.parse import urlencode

from allauth.account import views as account_views
from allauth.core.internal import ratelimit
from allauth.mfa.base import views as factor_views
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes import views as code_views
from allauth.mfa.totp import views as app_views
from allauth.mfa.webauthn import views as passkey_views
from allauth.socialaccount.adapter import get_adapter as get_provider_adapter
from allauth.socialaccount.providers.openid_connect import views as provider_views
from django.contrib import admin, messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse, reverse_lazy
from django.utils.decorators import method_decorator
from django.views.generic import TemplateView

from config.office.dialogs import staff
from config.office.pages import AdminPage
from config.signin.agents import describe_agent
from config.signin.forms import style
from config.signin.log import record
from config.signin.models import SignInEvent, SignInKind, StaffSession
from config.signin.rules import read_rules, requires_second_factor
from config.signin.sessions import LACKS_FACTOR, end_sessions, public_id

LATEST = 10


class Styled:
    """A page of django-allauth in the admin's look. Comes before the view."""

    title = ""

    def get_form(self, form_class: Any = None) -> Any:
        return style(super().get_form(form_class))  # type: ignore[misc]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        request: HttpRequest = self.request  # type: ignore[attr-defined]
        frame = admin.site.each_context(request) | {"title": self.title}
        if request.session.get(LACKS_FACTOR):
            frame["is_nav_sidebar_enabled"] = False  # nothing of it opens before there is a second factor
        context: dict[str, Any] = frame | super().get_context_data(**kwargs)  # type: ignore[misc]
        return context


class SignIn(Styled, account_views.LoginView):
    """Sign in with a name and password, a passkey, or through an identity provider."""

    title = "Sign in"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        back = {"next": self.get_next_url()} if self.get_next_url() else {}
        providers = get_provider_adapter().list_providers(self.request)
        links = [(provider.name, provider.get_login_url(self.request, **back)) for provider in providers]
        return super().get_context_data(providers=links, next=back.get("next", ""), **kwargs)


class SecondFactor(Styled, factor_views.AuthenticateView):
    """Ask for the code of the authenticator app, a recovery code or a passkey, after the password."""

    title = "Second factor"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        kinds = Authenticator.objects.filter(user=self.stage.login.user).values_list("type", flat=True)
        return context | {"form": style(context["form"]), "factors": set(kinds)}


class ConfirmByPassword(Styled, account_views.ReauthenticateView):
    title = "Confirm that it is you"


class ConfirmByCode(Styled, factor_views.ReauthenticateView):
    title = "Confirm that it is you"


class ConfirmByPasskey(Styled, passkey_views.ReauthenticateWebAuthnView):
    title = "Confirm that it is you"

    def form_invalid(self, form: Any) -> HttpResponse:
        messages.error(self.request, " ".join(form.errors.get("credential", [])))
        return HttpResponseRedirect(self.passthrough_next_url(reverse("account_reauthenticate")))


class SignInAgain(Styled, TemplateView):
    """Confirm without a password or second factor: sign out, and in again through the identity provider."""

    title = "Confirm that it is you"
    template_name = "account/again.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(next=self.request.GET.get("next", ""), **kwargs)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Sign out, and open the sign-in, which leads back."""
        back = request.POST.get("next", "")
        logout(request)
        return HttpResponseRedirect(f"{reverse('account_login')}?{urlencode({'next': back})}")


limited = ratelimit.decorator(app="allauth.account", action="login", limit_get=True)
start_at_provider = limited(provider_views.login)  # keeps a row, so that also opening it is limited


@method_decorator(ratelimit.decorator(app="allauth.mfa", action="webauthn_login", limit_get=True), name="dispatch")
class SignInByPasskey(passkey_views.LoginWebAuthnView):
    """Sign in with a passkey. Asking for its challenge is limited, too: it keeps a row."""


class Leave(account_views.LogoutView):
    """Sign out. A link can't do it."""

    http_method_names = ["post", "options"]


class AddApp(Styled, app_views.ActivateTOTPView):
    title = "Add authenticator app"


class RemoveApp(Styled, app_views.DeactivateTOTPView):
    title = "Remove authenticator app"


class AddPasskey(Styled, passkey_views.AddWebAuthnView):
    title = "Add passkey"


class RemovePasskey(Styled, passkey_views.RemoveWebAuthnView):
    title = "Remove passkey"
    success_url = reverse_lazy("mfa_index")


class RecoveryCodes(Styled, code_views.ViewRecoveryCodesView):
    title = "Recovery codes"


class NewRecoveryCodes(Styled, code_views.GenerateRecoveryCodesView):
    title = "New recovery codes"


class Security(AdminPage):
    """A colleague's own password, second factor, sessions and latest sign-ins."""

    title = "Sign-in and security"
    template_name = "admin/config/security.html"

    def has_permission(self) -> bool:
        return True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = staff(self.request)
        factors = list(Authenticator.objects.filter(user=user).order_by("pk"))
        codes = next((row.wrap() for row in factors if row.type == Authenticator.Type.RECOVERY_CODES), None)
        rules = read_rules()
        lacks = bool(self.request.session.get(LACKS_FACTOR))
        events = SignInEvent.objects.filter(user=user).order_by("-pk")[:LATEST]
        facts = {
            "app": next((row for row in factors if row.type == Authenticator.Type.TOTP), None),
            "passkeys": [row for row in factors if row.type == Authenticator.Type.WEBAUTHN],
            "codes_left": len(codes.get_unused_codes()) if codes else None,
            "is_required": requires_second_factor(user, rules),
            "lacks_factor": lacks,
            "rules": rules,
            "sessions": sessions_of(user, current=self.request.session.session_key),
            "latest": [(event, describe_agent(event.user_agent)) for event in events],
        }
        if lacks:
            facts["is_nav_sidebar_enabled"] = False
        return super().get_context_data(**facts, **kwargs)


class EndSessions(AdminPage):
    """Sign out of one other session, or of all."""

    http_method_names = ["post"]

    def has_permission(self) -> bool:
        return True

    def post(self, request: HttpRequest) -> HttpResponseBase:
        user, current = staff(request), request.session.session_key
        count = end_sessions(user, but=current, only=request.POST.get("session"))
        record(SignInKind.SESSIONS_ENDED, user, f"{count} other", request=request)
        messages.success(request, "You are signed out there.")
        return HttpResponseRedirect(reverse("mfa_index"))


def sessions_of(user: Any, *, current: str | None = None) -> list[dict[str, Any]]:
    """Return the user's live sessions, the latest first, as the pages show them. No page shows a session's key."""
    rows = StaffSession.objects.signed_in().filter(user=user)
    return [
        {"row": row, "browser": describe_agent(row.user_agent), "is_current": row.pk == current, "id": public_id(row)}
        for row in rows
    ]
