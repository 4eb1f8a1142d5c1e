"""Confirmation: before keys, webhook secrets, staff, roles, refunds and approvals, colleagues prove who they are.

A sign-in counts as a confirmation. After `confirmed_minutes` it is asked for again, before the dialog or form opens.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode, urlsplit

from allauth.account.adapter import get_adapter
from allauth.core.exceptions import ReauthenticationRequired
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.decorators import method_decorator

from config.signin.rules import read_rules

CONFIRMED_AT = "confirmed_at"
TYPING_S = 15 * 60  # longer for a POST than for opening its dialog: the time to fill it in
DONE_BY_GET = {"GET", "HEAD", "OPTIONS"}

type View = Callable[..., HttpResponseBase]


def note_confirmed(request: HttpRequest) -> None:
    """Note that the user of the session has just proved who they are."""
    request.session[CONFIRMED_AT] = time.time()


def is_confirmed(request: HttpRequest, *, extra_s: float = 0) -> bool:
    """Return whether the user proved who they are not long ago by the rules, plus `extra_s` seconds."""
    age = time.time() - request.session.get(CONFIRMED_AT, 0)
    return bool(age < read_rules().confirmed_minutes * 60 + extra_s)


def confirmed(view: View) -> View:
    """Ask for a confirmation before the view, which takes the request first."""

    @wraps(view)
    def confirm_or_answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return ask_to_confirm(request) or view(request, *args, **kwargs)

    return confirm_or_answer


confirmed_method = method_decorator(confirmed)


def ask_to_confirm(request: HttpRequest) -> HttpResponse | None:
    """Return a redirect to the confirmation, which leads back; None if none is needed.

    A form that was sent in the meantime is kept in the session, and sent again after the confirmation.
    """
    extra_s = 0 if request.method in DONE_BY_GET else TYPING_S
    if is_confirmed(request, extra_s=extra_s):
        return None
    methods = get_adapter().get_reauthentication_methods(request.user)
    page = methods[0]["url"] if methods else reverse("sign_in_again")
    if "HX-Request" in request.headers:
        shown = urlsplit(request.headers.get("HX-Current-URL", ""))
        return HttpResponse(headers={"HX-Redirect": f"{page}?{urlencode({'next': shown.path or '/admin/'})}"})
    if request.method in DONE_BY_GET or not methods:
        back = request.get_full_path() if request.method in DONE_BY_GET else request.path
        return HttpResponseRedirect(f"{page}?{urlencode({'next': back})}")
    raise ReauthenticationRequired


class ConfirmedForms:
    """A model admin whose forms for adding, changing and deleting ask for a confirmation. Comes before `ModelAdmin`.

    A row can be viewed without it.
    """

    @confirmed_method
    def add_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().add_view(request, *args, **kwargs)  # type: ignore[misc,no-any-return]

    @confirmed_method
    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().delete_view(request, *args, **kwargs)  # type: ignore[misc,no-any-return]

    def change_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        asked = ask_to_confirm(request) if request.method == "POST" else None
        return asked or super().change_view(request, *args, **kwargs)  # type: ignore[misc]

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        asked = ask_to_confirm(request) if request.method == "POST" else None  # an action on selected rows
        return asked or super().changelist_view(request, *args, **kwargs)  # type: ignore[misc]
