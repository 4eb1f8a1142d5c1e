"""The action that dismisses selected rows of a list, with a reason."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin


def dismiss_selected(
    model_admin: ModelAdmin,
    request: HttpRequest,
    ids: list[int],
    dismiss: Callable[[list[int], str], str],
    *,
    title: str,
    text: str,
    maxlength: int,
) -> HttpResponse | None:
    """Ask for a reason. With one, dismiss the rows and show the message that `dismiss` returns above the list."""
    if reason := request.POST.get("reason", "").strip()[:maxlength]:
        model_admin.message_user(request, dismiss(ids, reason))
        return None
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": title,
        "text": text,
        "maxlength": maxlength,
        "ids": ids,
        "asked": "reason" in request.POST,
    }
    return TemplateResponse(request, "admin/events/dismiss_selected.html", context)
