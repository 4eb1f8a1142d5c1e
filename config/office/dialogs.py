"""Dialogs that ask before an action, and the redirect after it."""

from collections.abc import Callable
from functools import partialmethod, wraps
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import mark_safe
from unfold import decorators
from unfold.dataclasses import ActionDialog
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from config.refusals import Refused
from config.signin.confirming import ask_to_confirm

# The `attrs` of an action that needs no answer: shell.js submits its dialog without showing it. The dialog remains for
# an opened address, since a GET request changes nothing.
AT_ONCE = {"data-at-once": "true"}


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


class DayInput(UnfoldAdminTextInputWidget):
    """The browser's date picker. Unfold's date picker doesn't work in dialogs, which are loaded later."""

    input_type = "date"

    def format_value(self, value: Any) -> str:
        return value.isoformat() if hasattr(value, "isoformat") else str(value or "")


def action(
    *, dialog: ActionDialog | None = None, confirmed: bool = False, **options: Any
) -> Callable[[Callable[..., Any]], Any]:
    """Declare an action as Unfold's `action` does. If it is refused, its dialog stays open with what was typed.

    An action with a dialog reports a refusal by raising `Refused` or `ValidationError`. `confirmed` asks staff to
    confirm who they are before the dialog opens, unless they did so not long ago.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        if dialog is None:
            return decorators.action(**options)(function)
        answer = decorators.action(dialog=_with_other_ids(dialog), **options)(_keep_open(function))
        return _with_frame(answer, str(dialog["title"]), confirmed=confirmed)

    return decorate


def _with_frame(answer: Callable[..., HttpResponse], title: str, *, confirmed: bool) -> Callable[..., HttpResponse]:
    @wraps(answer)
    def answer_or_page(model_admin: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if confirmed and (asked := ask_to_confirm(request)):
            return asked
        opts, object_id = model_admin.opts, kwargs.get("object_id")
        page, keys = ("change", [object_id]) if object_id is not None else ("changelist", [])
        request.__dict__["cancel_url"] = reverse(f"admin:{opts.app_label}_{opts.model_name}_{page}", args=keys)
        return framed(request, answer(model_admin, request, *args, **kwargs), title, opts=opts)

    return answer_or_page


def framed(request: HttpRequest, response: HttpResponse, title: str, **context: Any) -> HttpResponse:
    """Put a dialog into a page of its own if its address was opened, not loaded by htmx. Other responses stay."""
    is_rendered = not response.streaming and getattr(response, "is_rendered", True)  # a page is rendered later
    if "HX-Request" in request.headers or not is_rendered:
        return response
    if not response.content.lstrip().startswith(b'<div id="dialog">'):
        return response
    # The dialog is rendered by a template, which escapes values.
    content = mark_safe(response.content.decode())  # noqa: S308
    frame = admin.site.each_context(request)
    return render(request, "admin/office/dialog_page.html", {**frame, **context, "title": title, "dialog": content})


def show_dialog(request: HttpRequest, dialog: ActionDialog, form: BaseDialogForm, *, cancel_url: str) -> HttpResponse:
    """Show a dialog that isn't an action's. Opened by its address, it is a page, and Cancel leads to `cancel_url`."""
    request.__dict__["cancel_url"] = cancel_url
    context = {"dialog": dialog, "form": form, "form_submit_text": dialog.get("form_submit_text", "")}
    return framed(request, render(request, "unfold/helpers/dialog.html", context), str(dialog["title"]))


def _with_other_ids(dialog: ActionDialog) -> ActionDialog:
    """Give the dialog's fields other ids than the fields of the page behind it: a label names the first field by id."""
    form = dialog.get("form_class") or BaseDialogForm
    other_ids = partialmethod(form.__init__, auto_id="dialog_%s")
    return {**dialog, "form_class": type(form.__name__, (form,), {"__init__": other_ids})}


def _keep_open(function: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @wraps(function)
    def carry_out_or_explain(
        model_admin: Any, request: HttpRequest, form: BaseDialogForm, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        try:
            return function(model_admin, request, form, *args, **kwargs)
        except (Refused, ValidationError) as refusal:
            form.add_error(None, refusal_text(refusal))
            # htmx takes only the fields from the response; the dialog's title and buttons stay.
            return render(request, "unfold/helpers/dialog.html", {"dialog": {}, "form": form})

    return carry_out_or_explain


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

    If the work is refused, nothing is changed and the dialog shows the refusal.
    """
    with transaction.atomic():
        work()
    return open_page(request, then, done)


def refusal_text(refusal: Refused | ValidationError) -> str:
    """Return a refusal as one text for staff."""
    return " ".join(refusal.messages) if isinstance(refusal, ValidationError) else str(refusal)


def staff(request: HttpRequest) -> User:
    """Return the signed-in user of an admin page."""
    return cast(User, request.user)
