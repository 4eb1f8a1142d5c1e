"""Keep the session up to date, and lead to a required second factor before anything else."""

from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from config.signin.log import signed_in_by_provider
from config.signin.rules import lacks_second_factor
from config.signin.sessions import LACKS_FACTOR, describe_client

OPEN = ("/admin/login/", "/admin/logout/", "/admin/account/", "/v1/")


class SignInMiddleware:
    """Note once a minute that a session is in use, and whether its colleague lacks a required second factor.

    Comes after the session, the user and django-allauth's middleware. The rules for signing in thus apply to everyone
    who is signed in within a minute.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        describe_client(request.session, request)
        if request.session.session_key is not None and isinstance(request.user, User):
            if request.session.was_seen() or request.session.get(LACKS_FACTOR):  # type: ignore[attr-defined]  # our own
                self._check_factor(request, request.user)
            if request.session.get(LACKS_FACTOR) and not request.path.startswith(OPEN):
                return _redirect(request, reverse("mfa_index"))
        return self._out_of_dialogs(request, self.get_response(request))

    def _check_factor(self, request: HttpRequest, user: User) -> None:
        lacks = lacks_second_factor(user, by_provider=signed_in_by_provider(request, user))
        if lacks != request.session.get(LACKS_FACTOR):
            request.session[LACKS_FACTOR] = lacks

    def _out_of_dialogs(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Open the sign-in as a page when a session has ended, instead of inside of the dialog that htmx loads."""
        login = reverse("account_login")
        if "HX-Request" in request.headers and urlsplit(response.headers.get("Location", "")).path == login:
            shown = urlsplit(request.headers.get("HX-Current-URL", "")).path
            return HttpResponse(headers={"HX-Redirect": f"{login}?{urlencode({'next': shown or '/admin/'})}"})
        return response


def _redirect(request: HttpRequest, url: str) -> HttpResponse:
    if "HX-Request" in request.headers:
        return HttpResponse(headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)
