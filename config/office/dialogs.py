"""Dialogs that ask before an action, and the redirect after it."""

from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.dataclasses import ActionDialog
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from config.refusals import Refused


class ReasonForm(BaseDialogForm):
    """Ask for a reason."""

    reason = forms.CharField(
        max_length=255,
        widget=UnfoldAdminTextareaWidget({"rows": 2}),
        help_text="Recorded with your name and the time.",
    )


class OptionalReasonForm(BaseDialogForm):
    """Ask for a reason, but don't require one: the action can be undone."""

    reason = forms.CharField(
        max_length=255,
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 2}),
        help_text="Optional. Recorded with your name and the time.",
    )


def confirm(title: str, description: str, button: str, form: type[BaseDialogForm] = BaseDialogForm) -> ActionDialog:
    """Describe a dialog for Unfold's `@action`."""
    return {"title": title, "description": description, "form_class": form, "form_submit_text": button}


def open_page(request: HttpRequest, url: str, message: str = "", *, level: int = messages.SUCCESS) -> HttpResponse:
    """Redirect to a page and show a message there. A dialog is sent by htmx, which needs a redirect of its own."""
    if message:
        messages.add_message(request, level, message)
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)


def carry_out(request: HttpRequest, work: Callable[[], Any], *, done: str, then: str) -> HttpResponse:
    """Do the work in one transaction, then open the page `then` with the message `done`.

    If the work is refused, the page shows the refusal as an error and nothing is changed.
    """
    try:
        with transaction.atomic():
            work()
    except (Refused, ValidationError) as refusal:
        return open_page(request, then, refusal_text(refusal), level=messages.ERROR)
    return open_page(request, then, done)


def refusal_text(refusal: Refused | ValidationError) -> str:
    """Return a refusal as one text for staff."""
    return " ".join(refusal.messages) if isinstance(refusal, ValidationError) else str(refusal)


def staff(request: HttpRequest) -> User:
    """Return the signed-in user of an admin page."""
    return cast(User, request.user)
