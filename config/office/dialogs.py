"""Dialogs that ask before something is done, and the answer that brings the browser back."""

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.dataclasses import ActionDialog
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget


class ReasonForm(BaseDialogForm):
    """A dialog that asks why."""

    reason = forms.CharField(
        max_length=200, widget=UnfoldAdminTextInputWidget, help_text="It stays on record, with your name and the time."
    )


def confirm(title: str, description: str, button: str, form: type[BaseDialogForm] = BaseDialogForm) -> ActionDialog:
    """Describe a dialog for Unfold's `@action`."""
    return {"title": title, "description": description, "form_class": form, "form_submit_text": button}


def back_to(request: HttpRequest, url: str, said: str, *, level: int = messages.SUCCESS) -> HttpResponse:
    """Say what was done and open a page; from a dialog, which htmx sends, the whole window goes there."""
    messages.add_message(request, level, said)
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)


def staff(request: HttpRequest) -> User:
    """Return the member of staff who asks. `admin_view` lets nobody else through."""
    return cast(User, request.user)


def summary(replayed: Any) -> str:
    """Say in a sentence what a replay did."""
    events = f"{replayed.events:,} event{'' if replayed.events == 1 else 's'} judged again"
    return f"{events}: {replayed.closed:,} problem(s) closed, {replayed.still_open:,} still open."
