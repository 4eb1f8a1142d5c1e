"""What the pages of usage tracking share: the admin's frame, who may look, and texts from addresses."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.template.response import TemplateResponse


def page(request: HttpRequest, template: str, title: str, **context: Any) -> TemplateResponse:
    """Answer with one of the pages, inside the admin's frame."""
    return TemplateResponse(
        request, f"admin/events/{template}", {**admin.site.each_context(request), "title": title, **context}
    )


def ensure_may_view(request: HttpRequest) -> User:
    """Let through staff who may view events. Everybody else gets 403."""
    user = request.user
    if not isinstance(user, User) or not user.has_perm("events.view_event"):
        raise PermissionDenied
    return user


def clean(text: str) -> str:
    """Take a text from an address: without blanks around it, and without the NUL that PostgreSQL has no place for."""
    return text.replace("\x00", "").strip()
